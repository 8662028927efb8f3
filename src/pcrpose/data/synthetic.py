"""Synthetic images of people with exact keypoints, for tests and tutorials: nothing to download.

A person is a random pose of a simple skeleton, drawn as thick colored limbs before a cluttered background. Its left
limbs have cool colors, its right limbs warm ones, so that the sides can be learnt.
"""

import colorsys
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageDraw

from pcrpose.data.samples import Sample
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size, xyxy_to_xywh
from pcrpose.keypoints.skeleton import COCO_17

Color: TypeAlias = tuple[int, int, int]
Points: TypeAlias = dict[str, Floats]

_FINE = 4  # images are drawn this much larger and reduced: smooth edges, positions good to a fifth of a pixel
_SIDES = ("left", "right")
_JOINTS = {"arm": ("shoulder", "elbow", "wrist"), "leg": ("hip", "knee", "ankle")}
_PARTS = ("head", "trunk", "left_arm", "right_arm", "left_leg", "right_leg")
_OCCLUDER = 255
_SIZE = Size(width=192, height=256)
_MAX_PERSONS = 8

# In lengths of the trunk: bones, and half the thickness of what is drawn.
_BONES = {"arm": (0.62, 0.56), "leg": (0.85, 0.82)}
_SWING = {"arm": ((-20, 165), (-20, 130)), "leg": ((-15, 50), (-60, 25))}  # degrees at the root, then at the joint
_RADIUS = {"arm": 0.085, "leg": 0.115, "trunk": 0.1, "neck": 0.09, "head": 0.2, "eye": 0.04, "ear": 0.05}


@dataclass(frozen=True, kw_only=True)
class SyntheticPoses:
    """Images of drawn people in COCO's keypoints, each image a function of the seed and its index.

    Attributes:
        count: how many images.
        seed: of all of them.
        size: of an image.
        max_persons: an image shows one person up to this many.

    Examples:
        >>> sample = SyntheticPoses(count=10).image(3)[0]
        >>> sample.image.shape, sample.keypoints.shape
        ((256, 192, 3), (17, 2))
    """

    count: int
    seed: int = 0
    size: Size = _SIZE
    max_persons: int = 1

    def __post_init__(self) -> None:
        if self.count < 0 or not 1 <= self.max_persons <= _MAX_PERSONS:
            found = f"{self.count} of {self.max_persons}"
            raise ValueError(f"expected 0 or more images of 1 to {_MAX_PERSONS} persons, found {found}")

    def image(self, index: int) -> list[Sample]:
        """Draw one image; its samples share the ``(H, W, 3)`` uint8 array.

        Keypoints outside the image are not labelled, nor is the face of somebody seen from behind. Keypoints that
        another limb, person or thing covers are hidden (visibility 1). Who is covered entirely has no sample.
        """
        return self._draw(index)[1]

    def samples(self) -> list[Sample]:
        """Draw everything; the images stay in memory."""
        return [sample for index in range(self.count) for sample in self.image(index)]

    def _draw(self, index: int) -> tuple[Image, list[Sample]]:
        if not 0 <= index < self.count:
            raise IndexError(f"expected an index in 0..{self.count - 1}, found {index}")
        rng = np.random.default_rng([self.seed, index])
        persons = int(rng.integers(1, self.max_persons + 1))
        canvas = _Canvas(_background(rng, self.size))
        for _ in range(6):
            _draw_clutter(canvas, rng, self.size, 0)
        figures = [_placed(_random_pose(rng), rng, self.size, slot, persons) for slot in range(persons)]
        for number, points in enumerate(figures):
            _draw_figure(canvas, points, rng, _labels_of(number))
        if rng.random() < 0.3:  # noqa: PLR2004 - fraction of images with something in front
            _draw_clutter(canvas, rng, self.size, _OCCLUDER)
        image, seen = canvas.finished()
        owned = [_sample(index, points, _labels_of(number), image, seen) for number, points in enumerate(figures)]
        return image, [sample for sample in owned if sample is not None]


def write_synthetic_coco(
    folder: str | Path, count: int, seed: int = 0, *, size: Size = _SIZE, max_persons: int = 1
) -> Path:
    """Write drawn images and their annotations as a COCO data set.

    Args:
        folder: for ``images/`` with PNG files and ``annotations.json``; created if missing.
        count: how many images.
        seed: of the images.
        size: of an image.
        max_persons: see `SyntheticPoses`.

    Returns:
        Path of the annotation file, for ``read_coco(path, path.parent / "images")``.
    """
    poses = SyntheticPoses(count=count, seed=seed, size=size, max_persons=max_persons)
    (target := Path(folder)).joinpath("images").mkdir(parents=True, exist_ok=True)
    names, records = [f"{index:06}.png" for index in range(count)], list[dict[str, Any]]()
    for index, name in enumerate(names):
        pixels, samples = poses._draw(index)  # noqa: SLF001 - the class above
        records += [_annotation(sample, len(records) + number) for number, sample in enumerate(samples, start=1)]
        PIL.Image.fromarray(pixels).save(target / "images" / name)
    shape = {"width": size.width, "height": size.height}
    images = [{"id": index, "file_name": name, **shape} for index, name in enumerate(names)]
    bones = [[first + 1, second + 1] for first, second in COCO_17.bones]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints), "skeleton": bones}
    content = {"images": images, "annotations": records, "categories": [category]}
    (target / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    return target / "annotations.json"


def _annotation(sample: Sample, annotation_id: int) -> dict[str, Any]:
    box = xyxy_to_xywh(sample.box_xyxy[None])[0] + (0, 0, 1, 1)  # COCO counts the last pixel in
    keypoints = np.column_stack([sample.keypoints, sample.visibility]).ravel().tolist()
    record = {"id": annotation_id, "image_id": sample.image_id, "category_id": 1, "iscrowd": 0, "area": sample.area}
    return record | {"bbox": box.tolist(), "keypoints": keypoints, "num_keypoints": int(sample.labelled.sum())}


def _labels_of(number: int) -> dict[str, int]:
    """Return the labels of one person's parts; no two persons share a label, and 0 is the background's."""
    return {part: number * len(_PARTS) + place for place, part in enumerate(_PARTS, start=1)}


def _random_pose(rng: np.random.Generator) -> Points:
    """Draw COCO's keypoints, ``neck`` and ``head`` in lengths of the trunk; a face seen from behind is NaN."""
    tilt = np.radians(np.clip(rng.normal(0, 18), -60, 60))
    up, across = np.array([np.sin(tilt), -np.cos(tilt)]), np.array([np.cos(tilt), np.sin(tilt)])
    from_behind = rng.random() < 0.25  # noqa: PLR2004 - fraction of people who turn their backs
    to_the_left = across * rng.uniform(0.45, 1.0) * (-1 if from_behind else 1)  # of the person, that is
    points: Points = {"neck": up}
    for side, sign in zip(_SIDES, (1, -1), strict=True):
        outward = across * np.sign(to_the_left @ across) * sign
        for limb, root in (("arm", up + 0.36 * sign * to_the_left), ("leg", 0.2 * sign * to_the_left)):
            chain = _random_limb(rng, limb, root, up, outward)
            points |= {f"{side}_{joint}": point for joint, point in zip(_JOINTS[limb], chain, strict=True)}
    nod = np.radians(rng.normal(0, 8))
    crown = up * np.cos(nod) + across * np.sin(nod)
    points["head"] = head = up + 0.36 * crown
    look = rng.uniform(-0.1, 0.1) * across
    unseen = np.nan if from_behind else 1.0
    points["nose"] = (head + look - 0.03 * crown) * unseen
    for side, sign in zip(_SIDES, (1, -1), strict=True):
        points[f"{side}_eye"] = (head + 0.8 * look + 0.05 * crown + 0.08 * sign * to_the_left) * unseen
        points[f"{side}_ear"] = head + 0.2 * sign * to_the_left
    return points


def _random_limb(
    rng: np.random.Generator, limb: str, root: Floats, up: Floats, outward: Floats
) -> tuple[Floats, Floats, Floats]:
    (swing, bend), lengths = _SWING[limb], np.array(_BONES[limb]) * rng.uniform(0.75, 1.0, size=2)  # foreshortened
    first = np.radians(rng.uniform(*swing))
    second = first + np.radians(rng.uniform(*bend))
    middle = root + lengths[0] * (np.sin(first) * outward - np.cos(first) * up)
    return root, middle, middle + lengths[1] * (np.sin(second) * outward - np.cos(second) * up)


def _placed(points: Points, rng: np.random.Generator, size: Size, slot: int, slots: int) -> Points:
    """Scale and move a pose into its slot of the image; now and then a limb leaves it."""
    everything = np.stack(list(points.values()))
    low, high = np.nanmin(everything, axis=0) - _RADIUS["head"], np.nanmax(everything, axis=0) + _RADIUS["head"]
    room = np.array([size.width / slots * (1.25 if slots > 1 else 1.0), size.height])
    zoom = float(np.min(room / (high - low))) * rng.uniform(0.6, 1.05)
    target = np.array([(slot + 0.5) / slots * size.width, 0.5 * size.height]) + rng.normal(0, 0.05, size=2) * room
    return {name: (point - (low + high) / 2) * zoom + target for name, point in points.items()}


class _Canvas:
    """An image and, drawn with the same strokes, the map of the part that each pixel shows."""

    def __init__(self, background: Image) -> None:
        fine = (background.shape[1] * _FINE, background.shape[0] * _FINE)
        self._image = PIL.Image.fromarray(background).resize(fine, PIL.Image.Resampling.NEAREST)
        self._seen = PIL.Image.new("L", fine)
        self._paint, self._mark = PIL.ImageDraw.Draw(self._image), PIL.ImageDraw.Draw(self._seen)

    def polygon(self, corners: Floats, color: Color, label: int) -> None:
        fine = [(x, y) for x, y in np.round((corners + 0.5) * _FINE - 0.5).tolist()]
        self._paint.polygon(fine, fill=color)
        self._mark.polygon(fine, fill=label)

    def disc(self, center: Floats, radius: float, color: Color, label: int) -> None:
        middle, reach = np.round((center + 0.5) * _FINE - 0.5), round(radius * _FINE)
        box = (*(middle - reach).tolist(), *(middle + reach).tolist())
        self._paint.ellipse(box, fill=color)
        self._mark.ellipse(box, fill=label)

    def limb(self, points: list[Floats], radius: float, color: Color, label: int) -> None:
        """Draw a thick line with round ends and joints."""
        for start, end in itertools.pairwise(points):
            along = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
            beside = radius * np.array([-along[1], along[0]])
            self.polygon(np.stack([start + beside, end + beside, end - beside, start - beside]), color, label)
        for point in points:
            self.disc(point, radius, color, label)

    def finished(self) -> tuple[Image, Image]:
        """Return the ``(H, W, 3)`` image and the ``(H, W)`` labels."""
        return np.array(self._image.reduce(_FINE)), np.array(self._seen)[_FINE // 2 :: _FINE, _FINE // 2 :: _FINE]


def _draw_figure(canvas: _Canvas, points: Points, rng: np.random.Generator, labels: dict[str, int]) -> None:
    unit = float(np.hypot(*(points["neck"] - (points["left_hip"] + points["right_hip"]) / 2)))
    radius = {part: length * unit for part, length in _RADIUS.items()}
    side_color = {"left": _color(rng, (0.45, 0.65), 0.85), "right": _color(rng, (0.97, 1.09), 0.85)}
    skin, shirt = _color(rng, (0.05, 0.1), 0.3), _color(rng, (0.1, 0.9), 0.2)

    def draw_limb(side: str, limb: str) -> None:
        chain, label = [points[f"{side}_{joint}"] for joint in _JOINTS[limb]], labels[f"{side}_{limb}"]
        canvas.limb(chain, radius[limb], side_color[side], label)
        canvas.disc(chain[1], 0.5 * radius[limb], _shaded(side_color[side], 0.6), label)
        canvas.disc(chain[2], radius[limb], _shaded(side_color[side], 1.4), label)

    behind = str(rng.choice(["left", "right", "none", "none"]))  # the arm that the trunk covers
    for side in _SIDES:
        draw_limb(side, "leg")
    if behind in _SIDES:
        draw_limb(behind, "arm")
    corners = [points[name] for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
    canvas.polygon(np.stack(corners), shirt, labels["trunk"])
    canvas.limb([*corners, corners[0]], radius["trunk"], shirt, labels["trunk"])
    canvas.limb([points["neck"], points["head"]], radius["neck"], skin, labels["head"])
    canvas.disc(points["head"], radius["head"], skin, labels["head"])
    for name in COCO_17.keypoints[:5]:
        if np.isfinite(points[name]).all():
            ink = side_color.get(name.split("_")[0], _shaded(skin, 0.4))
            canvas.disc(points[name], radius["ear" if name.endswith("ear") else "eye"], ink, labels["head"])
    for side in _SIDES:
        if side != behind:
            draw_limb(side, "arm")


def _sample(image_id: int, points: Points, labels: dict[str, int], image: Image, seen: Image) -> Sample | None:
    """Return a sample whose box, area and visibility are read off the map of visible parts."""
    rows, columns = np.nonzero(np.isin(seen, list(labels.values())))
    if not rows.size or np.ptp(rows) + np.ptp(columns) == 0:
        return None
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], dtype=np.float64)
    keypoints = np.stack([points[name] for name in COCO_17.keypoints])
    inside = ((keypoints >= 0) & (keypoints <= np.subtract(seen.shape[::-1], 1))).all(axis=1)  # false for NaN
    keypoints[~inside] = 0
    x, y = np.round(keypoints).astype(int).T
    own = [seen[y[j], x[j]] in _own_labels(name, labels) for j, name in enumerate(COCO_17.keypoints)]
    visibility = np.where(inside, 1 + np.array(own, dtype=np.int64), 0)
    area = float(rows.size)
    return Sample(image=image, image_id=image_id, box_xyxy=box, keypoints=keypoints, visibility=visibility, area=area)


def _own_labels(name: str, labels: dict[str, int]) -> set[int]:
    """Return the labels of the parts on which a keypoint is visible."""
    side, _, joint = name.partition("_")
    limbs = {labels[f"{side}_{limb}"] for limb, joints in _JOINTS.items() if joint in joints}
    if joint in {"shoulder", "hip"}:
        limbs.add(labels["trunk"])
    return limbs or {labels["head"]}


def _background(rng: np.random.Generator, size: Size) -> Image:
    """Return soft patches of color under fine noise."""
    patches = PIL.Image.fromarray(rng.integers(50, 210, (5, 4, 3), dtype=np.uint8))
    smooth = np.asarray(patches.resize((size.width, size.height), PIL.Image.Resampling.BICUBIC), dtype=np.float64)
    return np.clip(smooth + rng.normal(0, 12, (size.height, size.width, 1)), 0, 255).astype(np.uint8)


def _draw_clutter(canvas: _Canvas, rng: np.random.Generator, size: Size, label: int) -> None:
    """Draw one colored thing: a plate, a stick that could be a limb, or a board."""
    color, angle = _color(rng, (0, 1), rng.uniform(0.1, 0.9)), rng.uniform(0, 2 * np.pi)
    center = rng.uniform(0, 1, 2) * (size.width, size.height)
    along = rng.uniform(0.04, 0.14) * min(size.width, size.height) * np.array([np.cos(angle), np.sin(angle)])
    kind, reach = rng.integers(3), float(np.hypot(*along))
    if kind == 0:
        canvas.disc(center, reach, color, label)
    elif kind == 1:
        canvas.limb([center, center + 3 * along], 0.3 * reach, color, label)
    else:
        canvas.polygon(center + np.stack([along, along[::-1] * (-1, 1), -along, along[::-1] * (1, -1)]), color, label)


def _color(rng: np.random.Generator, hues: tuple[float, float], saturation: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(rng.uniform(*hues) % 1.0, saturation, rng.uniform(0.6, 0.95))
    return round(255 * red), round(255 * green), round(255 * blue)


def _shaded(color: Color, factor: float) -> Color:
    red, green, blue = (min(255, round(channel * factor)) for channel in color)
    return red, green, blue
