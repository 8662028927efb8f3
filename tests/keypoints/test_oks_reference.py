"""Similarity, suppression and rescoring against the reference arrays of the published code."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from pcrpose.keypoints.oks import oks, oks_nms, oks_nms_batch, pose_scores, soft_oks_nms
from pcrpose.keypoints.skeleton import COCO_17

Golden = Callable[[str], Any]

SIGMAS = COCO_17.sigmas
TAGS = ["oks_t0.9", "oks_t0.7", "oks_t0.5", "oks_t0.3", "oks_t0.9_vis0.2", "oks_t0.5_vis0.2", "soft_t0.9", "soft_t0.5"]
CLEAR_MARGIN = 1e-6  # a group decided by less is a matter of rounding


def groups(reference: Any) -> Iterator[tuple[int, slice]]:  # noqa: ANN401 - a mapping of arrays
    """Walk through the images of the NMS reference."""
    offsets = reference["in_offsets"]
    for group in range(len(offsets) - 1):
        yield group, slice(offsets[group], offsets[group + 1])


@pytest.mark.parametrize(("key", "confident"), [("out_iou_first_vs_all", None), ("out_iou_first_vs_all_vis0.2", 0.2)])
def test_similarity_is_the_published_one(golden: Golden, key: str, confident: float | None) -> None:
    """Each group's first pose against the group, at the mean area, with and without the second pose's scores."""
    nms = golden("nms")
    for _, rows in groups(nms):
        poses, areas = nms["in_keypoints"][rows], nms["in_areas"][rows]
        found = None if confident is None else poses[..., 2] > confident
        diagonal = [
            oks(
                poses[:1, :, :2],
                poses[[row], :, :2],
                [(areas[0] + areas[row]) / 2],
                sigmas=SIGMAS,
                found=None if found is None else found[[row]],
            )[0, 0]
            for row in range(len(poses))
        ]

        np.testing.assert_allclose(diagonal, nms[key][rows], rtol=0, atol=1e-6)


@pytest.mark.parametrize("tag", TAGS)
def test_kept_poses_are_the_published_ones(golden: Golden, tag: str) -> None:
    """The same poses in the same order, in every group that rounding does not decide."""
    nms = golden("nms")
    kind, threshold, *visible = tag.split("_")
    kept, bounds, margins = nms[f"out_keep_{tag}"], nms[f"out_keepoff_{tag}"], nms[f"out_margin_{tag}"]
    compared = 0
    for group, rows in groups(nms):
        if margins[group] < CLEAR_MARGIN:
            continue
        poses = nms["in_keypoints"][rows]
        options: dict[str, Any] = {"sigmas": SIGMAS, "threshold": float(threshold[1:])}
        arguments = (poses[..., :2], nms["in_scores"][rows], nms["in_areas"][rows])
        if visible:
            options["found"] = poses[..., 2] > 0.2
        found = (
            soft_oks_nms(*arguments, max_poses=20, **options)[0] if kind == "soft" else oks_nms(*arguments, **options)
        )
        compared += 1

        assert found.tolist() == kept[bounds[group] : bounds[group + 1]].tolist()
    assert compared > 0.9 * len(margins)


@pytest.mark.parametrize("tag", ["oks_t0.9", "oks_t0.5"])
def test_all_images_at_once_keep_the_same_poses(golden: Golden, tag: str) -> None:
    """The batch of all groups, rows shuffled, keeps what each group keeps alone."""
    nms = golden("nms")
    image_ids = np.repeat(np.arange(len(nms["in_offsets"]) - 1), np.diff(nms["in_offsets"]))
    shuffled = np.random.default_rng(3).permutation(len(image_ids))

    kept = oks_nms_batch(
        nms["in_keypoints"][shuffled][..., :2],
        nms["in_scores"][shuffled],
        nms["in_areas"][shuffled],
        image_ids[shuffled],
        sigmas=SIGMAS,
        threshold=float(tag[-3:]),
    )

    for group, rows in groups(nms):
        if nms[f"out_margin_{tag}"][group] < CLEAR_MARGIN:
            continue
        bounds = nms[f"out_keepoff_{tag}"]
        mine = shuffled[kept[image_ids[shuffled[kept]] == group]] - rows.start
        assert mine.tolist() == nms[f"out_keep_{tag}"][bounds[group] : bounds[group + 1]].tolist()


@pytest.mark.parametrize(
    ("tag", "threshold"), [("oks0.9_vis0.2", 0.2), ("oks0.5_vis0.0", 0.0), ("soft0.9_vis0.2", 0.2)]
)
def test_rescoring_is_the_published_one(golden: Golden, tag: str, threshold: float) -> None:
    """Scores and kept rows; row 7's keypoint score of float32(0.2) is above 0.2, as it was under numpy 1."""
    rescore = golden("rescore")
    poses, image_ids = rescore["in_preds"], rescore["in_image_id"]

    scores = pose_scores(rescore["in_box_score"], poses[..., 2], threshold=threshold)

    np.testing.assert_allclose(scores, rescore[f"out_rescored_{tag}"], rtol=0, atol=1e-6)
    areas, level = rescore["in_all_boxes"][:, 4], float(tag[3:6] if tag.startswith("oks") else tag[4:7])
    if tag.startswith("oks"):
        kept = oks_nms_batch(poses[..., :2], scores, areas, image_ids, sigmas=SIGMAS, threshold=level).tolist()
    else:
        kept = []
        for image_id in dict.fromkeys(image_ids.tolist()):
            rows = np.flatnonzero(image_ids == image_id)
            taken, _ = soft_oks_nms(
                poses[rows][..., :2], scores[rows], areas[rows], sigmas=SIGMAS, threshold=level, max_poses=20
            )
            kept += rows[taken].tolist()
    assert kept == rescore[f"out_kept_{tag}"].tolist()
