"""The persons that a model finds best and worst, side by side, to be looked at."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from pcrpose.data.images import open_image
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Crops
from pcrpose.keypoints.oks import oks
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton

SHEET_PERSONS, SHEET_COLUMNS = 10, 5
LEAST_LABELLED = 5  # the similarity of one or two keypoints says little about a pose
TILE, MARGIN, CAPTION = Size(width=216, height=288), 8, 24


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One annotated person, the pose found in the annotated box, and how alike they are."""

    sample: Sample
    keypoints: Floats
    keypoint_scores: Floats
    oks: float


def judge(dataset: AnnotatedPersons, evaluator: CocoEvaluator) -> list[Judged]:
    """Compare every person with the pose of their own box, worst first; too few labelled keypoints are left out."""
    found: dict[int, list[Floats]] = {}
    for result in evaluator.results:  # an image's poses come in the order of its samples
        found.setdefault(result["image_id"], []).append(np.reshape(result["keypoints"], (-1, 3)))
    judged = []
    for sample in dataset.samples:
        pose = found[sample.image_id].pop(0)
        counted = {"sigmas": evaluator.sigmas, "labelled": sample.labelled[None]}
        similarity = float(oks(sample.keypoints[None], pose[None, :, :2], [sample.area], **counted)[0, 0])
        if sample.labelled.sum() >= LEAST_LABELLED:
            judged.append(Judged(sample=sample, keypoints=pose[:, :2], keypoint_scores=pose[:, 2], oks=similarity))
    return sorted(judged, key=lambda each: each.oks)


def write_sheets(
    folder: Path, judged: Sequence[Judged], skeleton: Skeleton, model: str, data: str
) -> dict[str, list[dict[str, Any]]]:
    """Draw the ten best and the ten worst persons; give who they are."""
    listed = {}
    for name, chosen in (("best", judged[: -SHEET_PERSONS - 1 : -1]), ("worst", judged[:SHEET_PERSONS])):
        of_whom = f"{len(judged)} persons with {LEAST_LABELLED} labelled keypoints or more"
        title = f"{model}: the {len(chosen)} {name} of {of_whom}; left found, right annotated; {data}, annotated boxes"
        with written_whole(folder / f"{name}.png") as file:
            sheet(chosen, skeleton, title).save(file, format="PNG")
        print(
            f"wrote {folder / name}.png: OKS {chosen[0].oks:.2f} to {chosen[-1].oks:.2f}"
            if chosen
            else "nobody to draw"
        )
        listed[name] = [
            {"image_id": each.sample.image_id, "annotation_id": each.sample.annotation_id, "oks": round(each.oks, 4)}
            for each in chosen
        ]
    return listed


def sheet(chosen: Sequence[Judged], skeleton: Skeleton, title: str) -> PIL.Image.Image:
    """Put tiles side by side under a title."""
    step = (2 * TILE.width + MARGIN, TILE.height + CAPTION + MARGIN)
    rows = -(-len(chosen) // SHEET_COLUMNS)
    page = PIL.Image.new("RGB", (SHEET_COLUMNS * step[0] + MARGIN, rows * step[1] + CAPTION + MARGIN), "white")
    pen, font = PIL.ImageDraw.Draw(page), PIL.ImageFont.load_default(size=15)
    pen.text((MARGIN, 4), title, fill="black", font=font)
    for number, each in enumerate(chosen):
        x, y = MARGIN + number % SHEET_COLUMNS * step[0], CAPTION + number // SHEET_COLUMNS * step[1]
        words = f"OKS {each.oks:.2f}, {each.sample.labelled.sum()} labelled, image {each.sample.image_id}"
        pen.text((x, y + 4), words, fill="black", font=font)
        page.paste(tile(each, skeleton), (x, y + CAPTION))
    return page


def tile(each: Judged, skeleton: Skeleton) -> PIL.Image.Image:
    """Draw one person twice: what was found, and what is annotated."""
    box = each.sample.box_xyxy.copy()
    box[2:] = np.maximum(box[2:], box[:2] + 1)
    crop = Crops.from_boxes(box[None], TILE)
    pixels = crop.warp(open_image(each.sample.image))[0]
    annotated = np.where(each.sample.labelled[:, None], each.sample.keypoints, np.nan)
    page = PIL.Image.new("RGB", (2 * TILE.width, TILE.height))
    for column, (keypoints, scores) in enumerate(
        ((each.keypoints, each.keypoint_scores), (annotated, each.sample.labelled.astype(np.float64)))
    ):
        poses = Poses(
            keypoints=crop.forward(keypoints[None]),
            keypoint_scores=scores[None],
            boxes_xyxy=crop.forward(box.reshape(1, 2, 2)).reshape(1, 4),
            box_scores=np.ones(1),
            pose_scores=np.ones(1),
            skeleton=skeleton,
        )
        page.paste(poses.draw(pixels), (column * TILE.width, 0))
    return page


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to, renamed afterwards: a file is whole or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
