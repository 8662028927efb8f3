"""Several models as one: what is averaged, who may be together, and where an ensemble is a model."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pcrpose.inference import ensemble
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.ensemble_folder import Member
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.skeleton import COCO_17, Skeleton
from pcrpose.models.load import build_model, load_model
from pcrpose.models.paper_tables import PCR_PLUS
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_model import HeatmapModel, PoseModel

BOXES = np.array([[20.0, 15.0, 90.0, 140.0], [100.5, 30.25, 190.0, 120.0]])
LITE: dict[str, Any] = {"pixel_mean": (127 / 255,) * 3, "pixel_std": (128 / 255,) * 3}


def another(model: PCR, seed: int = 4, **changes: Any) -> PoseModel[Any]:  # noqa: ANN401 - any field
    """Give a network like a model's with other weights, and whatever else is changed."""
    torch.manual_seed(seed)
    network = build_model(replace(model.config, **changes)).double()
    for parameter in network.parameters():
        if parameter.dim() == 4 and parameter.shape[2:] == (1, 1):
            nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.fixture
def crops(model: PCR) -> Tensor:
    """Give normalized noise of the model's input size."""
    torch.manual_seed(9)
    return model.config.normalize(torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8), torch.float64)


def test_one_model_is_that_model(model: PCR, crops: Tensor, photo: Image) -> None:
    """Alone it predicts the same bits, heatmaps and poses, with the mirrored crop too."""
    alone = Ensemble([model])

    assert torch.equal(alone(crops).final, model(crops).final)
    for flip in (True, False):
        ours, its = (PosePredictor(each, flip=flip).predict(photo, BOXES) for each in (alone, model))
        np.testing.assert_array_equal(ours.keypoints, its.keypoints)
        np.testing.assert_array_equal(ours.pose_scores, its.pose_scores)


def test_the_mean_of_heatmaps(model: PCR, crops: Tensor) -> None:
    """Each member weighs the same, whatever its architecture's details and the kind of its heatmaps."""
    members = [model, another(model, channels=(8, 8, 8)), another(model, heatmaps="probability", sigma=6.0)]

    together = Ensemble(members)

    expected = torch.stack([member(crops).final for member in members]).mean(dim=0)
    torch.testing.assert_close(together(crops).final, expected)
    assert together(crops).auxiliary == ()
    assert together.config == model.config


def test_mirrored_crops_are_seen_by_all(model: PCR, photo: Image) -> None:
    """With ``flip`` the heatmaps are the mean of the members', each averaged with its own mirrored ones."""
    members = [model, another(model)]

    heatmaps, _ = PosePredictor(Ensemble(members)).heatmaps(photo, BOXES[0])

    each = [PosePredictor(member).heatmaps(photo, BOXES[0])[0] for member in members]
    np.testing.assert_allclose(heatmaps, np.mean(each, axis=0), atol=1e-6)


def test_members_normalize_as_they_were_trained(model: PCR, photo: Image) -> None:
    """Members with another mean and deviation see what they would see alone, whoever comes first."""
    members = [model, another(model, **LITE), another(model, seed=5, channel_order="bgr", pixel_std=(0.1, 0.2, 0.3))]
    each = [PosePredictor(member).heatmaps(photo, BOXES[1])[0] for member in members]

    for order in (members, members[::-1]):
        heatmaps, _ = PosePredictor(Ensemble(order)).heatmaps(photo, BOXES[1])
        np.testing.assert_allclose(heatmaps, np.mean(each, axis=0), atol=1e-6)
    wrong = another(model)
    wrong.load_state_dict(members[1].state_dict())
    other, _ = PosePredictor(Ensemble([model, wrong, members[2]])).heatmaps(photo, BOXES[1])
    assert np.abs(other - heatmaps).max() > 1e-3


def test_peaks_that_disagree_do_not_add_up(model: PCR, crops: Tensor) -> None:
    """The mean is scored lower than the surer member where the other one sees nothing there."""

    class Seen(PCR):
        peak: tuple[int, int]

        def forward(self, crops: Tensor) -> Any:  # noqa: ANN401 - the base's
            heatmaps = crops.new_zeros(len(crops), 17, 24, 16)
            heatmaps[..., self.peak[0], self.peak[1]] = 1
            return super().forward(crops)._replace(final=heatmaps)

    first, second = Seen(model.config).double(), Seen(model.config).double()
    first.peak, second.peak = (3, 4), (20, 10)
    _, scores = model.config.codec().decode(Ensemble([first, second])(crops).final)
    assert torch.equal(scores, torch.full_like(scores, 0.5))
    second.peak = first.peak
    _, scores = model.config.codec().decode(Ensemble([first, second])(crops).final)
    assert torch.equal(scores, torch.ones_like(scores))


BACKWARDS = Skeleton("backwards", COCO_17.keypoints[::-1], [], [], COCO_17.sigmas)
UNPAIRED = Skeleton("unpaired", COCO_17.keypoints, [], [], COCO_17.sigmas)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skeleton": BACKWARDS}, "keypoints of the first"),
        ({"skeleton": UNPAIRED}, "flip partners of the first"),
    ],
)
def test_members_that_do_not_fit(changes: dict[str, Any], message: str, model: PCR) -> None:
    """Maps of other keypoints cannot be averaged."""
    with pytest.raises(ValueError, match=message):
        Ensemble([model, another(model, **changes)])


def test_precisions_are_not_mixed(model: PCR) -> None:
    """One precision for all; afterwards it is changed for all."""
    with pytest.raises(ValueError, match=r"precision of the first, torch\.float64; model 2 has torch\.float32"):
        Ensemble([model, another(model).float()])
    assert {parameter.dtype for parameter in Ensemble([model, another(model)]).float().parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda _: Ensemble("pcr-nano"), "expected several models in a list, found str"),
        (lambda _: Ensemble([3]), "expected those of load_model or PCR.from_pretrained, or names, found 3"),  # type: ignore[list-item]
        (Ensemble, "expected several models in a list, found PCR"),
        (lambda model: Ensemble(model.config), "expected several models in a list, found PCRConfig"),
    ],
)
def test_what_is_no_list_of_models(build: Callable[[PCR], Ensemble], message: str, model: PCR) -> None:
    """One name or one model is no list; what is neither is refused."""
    with pytest.raises(TypeError, match=message):
        build(model)


def test_what_gives_no_heatmaps(model: PCR, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that gives coordinates is refused in one line, as it is and by its name."""

    class Coordinates(nn.Linear):
        pass

    with pytest.raises(ValueError, match=r"^models: expected models that predict heatmaps, found a Coordinates$"):
        Ensemble([model, Coordinates(1, 1)])  # type: ignore[list-item]
    monkeypatch.setattr(ensemble, "load_model", lambda _name: Coordinates(1, 1))
    with pytest.raises(ValueError, match=r"^models: expected models that predict heatmaps; model 2 is a Coordinates$"):
        Ensemble([model, "runs/coordinates"])


def test_names_are_loaded() -> None:
    """A name of the zoo stands for its model, also as a member with another padding, and is loaded once."""
    both = Ensemble(["pcr-nano", Member(model="pcr-nano", padding=1.4, weight=2.0)])

    assert both.config == replace(load_model("pcr-nano").config, calibration=None)
    assert both.members[0] is both.members[1]
    assert [spec.padding for spec in both.crop_specs] == [1.25, 1.4]
    assert both.weights == [1.0, 2.0]


def test_weights(model: PCR, crops: Tensor) -> None:
    """A weighted mean, whatever the weights add up to; equal ones are the plain mean, bit for bit."""
    members = [model, another(model)]
    first, second = (member(crops).final for member in members)

    torch.testing.assert_close(Ensemble(members, weights=[1, 3])(crops).final, first / 4 + second * 3 / 4)
    assert torch.equal(Ensemble(members, weights=[2.5, 2.5])(crops).final, (first + second) / 2)
    for wrong, message in ([1], "one per model, 2, found 1"), ([1, 0], "weight: expected a positive number, found 0"):
        with pytest.raises(ValueError, match=message):
            Ensemble(members, weights=wrong)


def test_the_mirrored_crop_as_a_part_of_it(model: PCR, crops: Tensor, photo: Image) -> None:
    """``mirrored`` is what the predictor does with ``flip``, which then does nothing more."""
    members = [model, another(model)]
    expected = PosePredictor(Ensemble(members), flip=True).predict(photo, BOXES)

    mirrored = Ensemble(members, mirrored=True)

    for flip in (True, False):
        found = PosePredictor(mirrored, flip=flip).predict(photo, BOXES)
        np.testing.assert_array_equal(expected.keypoints, found.keypoints)
        np.testing.assert_array_equal(expected.keypoint_scores, found.keypoint_scores)
    itself = mirrored(crops).final
    flipped = mirrored(crops.flip(3)).final[:, COCO_17.flip_indices].flip(3)
    torch.testing.assert_close(itself, flipped)


def test_nothing_to_put_together() -> None:
    """No model is no ensemble."""
    nobody: Sequence[PoseModel[Any]] = []
    with pytest.raises(ValueError, match="one at least, found none"):
        Ensemble(nobody)


def test_members_are_put_into_evaluation_mode(model: PCR) -> None:
    """As they predict."""
    together = Ensemble([model.train(), another(model)])

    assert not any(module.training for module in together.modules())


def test_a_member_that_was_trained_since(model: PCR, crops: Tensor) -> None:
    """It is back in evaluation mode before it predicts."""
    both = Ensemble([model, model])
    expected = both(crops).final
    model.train()

    assert torch.equal(both(crops).final, expected)
    assert not model.training


def test_it_is_a_heatmap_model(model: PCR) -> None:
    """What prediction needs is there."""
    assert isinstance(Ensemble([model]), HeatmapModel)


def test_the_papers_ensemble() -> None:
    """PCR+ of table 1 is one value: both networks, one crop, one mean; built without memory for its weights."""
    with torch.device("meta"):
        both = Ensemble([build_model(config) for config in PCR_PLUS.values()], mirrored=True)

    assert [str(spec.input_size) for spec in both.crop_specs] == ["384x288"]
    assert both.weights == [1.0, 1.0]
    assert both.mirrored
