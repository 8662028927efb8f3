"""Poses as the KeyPoints of supervision: a stand-in of the same fields, and the package itself where it is there."""

import dataclasses
import importlib.util
import sys
import types
import warnings
from typing import Any

import numpy as np
import pytest

from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton

STICK = Skeleton("stick", ("low", "high"), [], [(0, 1)], [0.1, 0.1])
COVARIANCES = np.array([[[[100.0, 0.0], [0.0, 25.0]], [[25.0, 0.0], [0.0, 100.0]]]])
ABSENT = importlib.util.find_spec("supervision") is None


@dataclasses.dataclass
class KeyPoints:
    """The fields of supervision's class of that name, version 0.31."""

    xy: Any
    class_id: Any = None
    keypoint_confidence: Any = None
    detection_confidence: Any = None
    visible: Any = None
    data: Any = None


def poses(**changes: Any) -> Poses:  # noqa: ANN401 - fields
    """Make one person of two keypoints, of which the second scores low."""
    return Poses(
        keypoints=np.array([[[40.0, 90.0], [140.0, 30.0]]]),
        keypoint_scores=np.array([[0.75, 0.1]]),
        boxes_xyxy=np.array([[20.0, 0.0, 160.0, 100.0]]),
        box_scores=np.ones(1),
        pose_scores=np.array([0.625]),
        skeleton=STICK,
        **changes,
    )


def stand_in(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    """Put a module in the place of supervision."""
    module = types.ModuleType("supervision")
    module.KeyPoints = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "supervision", module)


def test_every_field_is_where_supervision_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keypoints, scores, who is to be drawn, and covariances under the key of the ellipse annotators."""
    stand_in(monkeypatch, KeyPoints)

    found: Any = poses(keypoint_covariances=COVARIANCES).to_supervision()

    assert found.xy.tolist() == [[[40.0, 90.0], [140.0, 30.0]]]
    assert found.keypoint_confidence == pytest.approx(np.array([[0.75, 0.1]]))
    assert found.detection_confidence.tolist() == [0.625]
    assert found.visible.tolist() == [[True, False]]
    assert found.class_id.tolist() == [0]
    assert found.data["covariance"].tolist() == COVARIANCES.tolist()


def test_what_is_not_known_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without covariances there is no key; nobody is no error; what is returned may be changed."""
    stand_in(monkeypatch, KeyPoints)

    found: Any = poses().to_supervision(threshold=0.05)

    assert found.data == {}
    assert found.visible.all()
    found.xy[:] = 0
    nobody: Any = Poses.empty(STICK).to_supervision()
    assert nobody.xy.shape == (0, 2, 2)


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent, or from before it had these fields."""
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match=r"to_supervision: expected supervision 0.29 or later, pip install"):
        poses().to_supervision()

    stand_in(monkeypatch, dataclasses.make_dataclass("KeyPoints", ["xy", "class_id", "confidence", "data"]))
    with pytest.raises(ImportError, match="found an earlier one"):
        poses().to_supervision()


@pytest.mark.skipif(ABSENT, reason="supervision is not installed")
@pytest.mark.parametrize("name", ["VertexEllipseAreaAnnotator", "VertexEllipseOutlineAnnotator"])
def test_supervision_draws_the_ellipses(name: str) -> None:
    """Two standard deviations round the keypoint that is sure enough, and nothing at the other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # supervision's own, of packages it would like to have
        import supervision  # noqa: PLC0415 - optional

        annotator = getattr(supervision, name)(sigma=2.0, color=supervision.Color.WHITE)
        found = poses(keypoint_covariances=COVARIANCES).to_supervision()
        drawn = annotator.annotate(np.zeros((120, 200, 3), dtype=np.uint8), found)

    y, x = np.nonzero(np.asarray(drawn).max(axis=2))
    assert (x.min(), x.max()) == pytest.approx((40 - 20, 40 + 20), abs=2)
    assert (y.min(), y.max()) == pytest.approx((90 - 10, 90 + 10), abs=2)
