"""Skeleton checks: spelling of the keypoints' names, flip pairs, bones."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pcrpose.data.readers.coco import Record, skeleton_of
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.findings import Findings, found
from pcrpose.keypoints.skeleton import KNOWN_SKELETONS, Skeleton

USUAL_NAMES = frozenset(name for skeleton in KNOWN_SKELETONS for name in skeleton.keypoints)
SIDES = {"left": "left", "right": "right", "l": "left", "r": "right"}
OTHER_SIDE = {"left": "right", "right": "left"}
_CLOSE = 0.85  # left_sholder is close to left_shoulder, left_heel is not close to left_eye
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=^[LR])(?=[A-Z])")  # leftHip, LHip
_SIDE_WORD = re.compile("left|right", re.IGNORECASE)


class Sided(NamedTuple):
    """The side and body part of a keypoint, and whether its name spells the side out."""

    side: str
    part: str
    spelt_out: bool


def check_skeleton(file: AnnotationFile, skeleton: Skeleton | None) -> Findings:
    """Check the category, and the skeleton that is to be used with it.

    Args:
        file: what was read.
        skeleton: the caller's, or None for the one that the category describes.
    """
    named = file.keypoint_categories
    if not named and skeleton is None:
        do = "give the category the list 'keypoints' with the names, in the order of the values"
        nameless = [category.get("name") for category in file.categories]
        yield from found("error", "category", "categories without names of keypoints", do, nameless or ["none"])
        return
    if len(named) > 1:
        do = "keep one in the file, and its annotations"
        yield from found("error", "category", "categories with keypoints", do, [c.get("name") for c in named])
    if skeleton is not None:
        do = "list them in flip_pairs"
        yield from _check_sides(skeleton, skeleton.keypoints, do)
    if named:
        yield from _check_names(named[0], file.keypoint_names, skeleton)


def _check_names(category: Record, spelt: tuple[str, ...], wanted: Skeleton | None) -> Findings:
    raw = category["keypoints"]
    if not isinstance(raw, list):
        do = "list the names in the order of the values"
        yield from found("error", "names", "keypoints that are no list", do, [raw])
        return
    if wanted is None and all(spelt != known.keypoints for known in KNOWN_SKELETONS):  # others' bones are not read
        yield from _check_bones(category)
    repeated = sorted({name for name in spelt if spelt.count(name) > 1})
    yield from found("error", "names", "names that come twice", "give each keypoint its own", repeated)
    if repeated:
        return
    if wanted is not None:
        yield from _check_same_names(spelt, wanted)
        return
    yield from _check_spelling(spelt)
    do = "name them left_... and right_..., or give a skeleton with flip_pairs; a mirrored image swaps them"
    yield from _check_sides(skeleton_of({"keypoints": raw}), [str(name) for name in raw], do)


def _check_bones(category: Record) -> Findings:
    bones = category.get("skeleton") or []
    count = len(category["keypoints"])
    if not isinstance(bones, list):
        bones = [bones]
    wrong = [bone for bone in bones if not _is_bone(bone, count)]
    from_0 = any(isinstance(bone, list) and 0 in bone for bone in bones)
    do = "start from 1, as COCO does" if from_0 else f"each is two different numbers from 1 to {count}"
    yield from found("error", "bones", "bones of 'skeleton' that join nothing", do, wrong, total=len(bones))


def _is_bone(bone: object, count: int) -> bool:
    if not isinstance(bone, list) or len(bone) != 2 or not all(isinstance(end, int) for end in bone):  # noqa: PLR2004 - two ends
        return False
    return bone[0] != bone[1] and all(1 <= end <= count for end in bone)


def _check_same_names(here: Sequence[str], wanted: Skeleton) -> Findings:
    """Compare the file's names with those of the caller's skeleton."""
    there = wanted.keypoints
    strange = [name + _offer(name, set(there) - set(here)) for name in here if name not in there]
    do = f"spell them as {wanted.name} does, or leave the skeleton to the file"
    yield from found("error", "names", f"names that {wanted.name} lacks", do, strange, total=len(here))
    missing = [name for name in there if name not in here]
    do = "choose a skeleton of what is annotated"
    if not strange:
        yield from found("error", "names", f"keypoints of {wanted.name} that the file lacks", do, missing)
    if not strange and not missing and tuple(here) != there:
        moved = [name for name, other in zip(here, there, strict=True) if name != other]
        do = f"build the skeleton in the file's order: {', '.join(here)}"
        yield from found("error", "names", f"names that stand elsewhere in {wanted.name}", do, moved)


def _check_spelling(names: Sequence[str]) -> Findings:
    """Check for names that are nearly those of a known data set."""
    strange = [name for name in names if name not in USUAL_NAMES]
    near = [name + offer for name in strange if (offer := _offer(name, USUAL_NAMES - set(names), cutoff=_CLOSE))]
    do = "keypoints are matched by name: rename what is meant to be the same"
    yield from found("warning", "names", "names that differ a little from the usual ones", do, near)


def _offer(name: str, others: set[str] | frozenset[str], *, cutoff: float = 0.6) -> str:
    close = difflib.get_close_matches(name, sorted(others), n=1, cutoff=cutoff)
    return f" ({close[0]}?)" if close else ""


def _check_sides(skeleton: Skeleton, names: Sequence[str], do: str) -> Findings:
    """Check for keypoints of one side that mirroring would teach as the other's.

    Args:
        skeleton: whose flip pairs count.
        names: its keypoints as they are written: the file's own spelling still shows the hump of ``leftHip``.
        do: advice about pairs that are not listed.
    """
    sided = {index: found_side for index, name in enumerate(names) if (found_side := side_of(name)) is not None}
    paired = {frozenset(pair) for pair in skeleton.flip_pairs}
    loose, lonely = [], []
    for index, (side, part, spelt_out) in sided.items():
        wanted = (OTHER_SIDE[side], part)
        twins = [other for other, candidate in sided.items() if candidate[:2] == wanted]
        if not twins and spelt_out:
            lonely.append(index)
        elif twins and side == "left" and frozenset((index, twins[0])) not in paired:
            loose.append((index, twins[0]))
    pairs = [f"{names[left]} and {names[right]}" for left, right in loose]
    yield from found("error", "flip_pairs", "left and right that are no flip pair", do, pairs)
    do = "fix the name, or train and predict without mirroring"
    alone = [_culprit(index, lonely, names, sided) for index in lonely]
    yield from found("error", "flip_pairs", "names of one side without the other", do, list(dict.fromkeys(alone)))
    yield from _check_pairs(skeleton)


def _culprit(index: int, lonely: Sequence[int], names: Sequence[str], sided: dict[int, Sided]) -> str:
    """Return the name to blame for a keypoint without a partner: one that is misspelt, or the keypoint's own."""
    expected = _mirrored(names[index])
    free = [name for place, name in enumerate(names) if place not in sided and name not in USUAL_NAMES]
    if close := difflib.get_close_matches(expected, free, n=1, cutoff=_CLOSE):
        return f"{close[0]} ({expected}?)"
    others = {sided[other].part: other for other in lonely if sided[other].side != sided[index].side}
    near = difflib.get_close_matches(sided[index].part, others, n=1)
    if not near:
        return names[index]
    partner = names[others[near[0]]]
    if names[index] in USUAL_NAMES and partner not in USUAL_NAMES:
        return f"{partner} ({expected}?)"
    if partner in USUAL_NAMES and names[index] not in USUAL_NAMES:
        return f"{names[index]} ({_mirrored(partner)}?)"
    return f"{names[index]} ({partner}?)"


def _mirrored(name: str) -> str:
    """Return the name of the partner: right_hip for left_hip, RightHip for LeftHip."""

    def swapped(match: re.Match[str]) -> str:
        word = OTHER_SIDE[match[0].lower()]
        return word.upper() if match[0].isupper() else word.capitalize() if match[0][0].isupper() else word

    return _SIDE_WORD.sub(swapped, name, count=1)


def _check_pairs(skeleton: Skeleton) -> Findings:
    """Check for flip pairs that join a left part with another than its right one."""
    wrong = []
    for pair in skeleton.flip_pairs:
        first, second = (side_of(skeleton.keypoints[index]) for index in pair)
        if (first is None) != (second is None) or (first and second and not _are_twins(first, second)):
            wrong.append(" and ".join(skeleton.keypoints[index] for index in pair))
    do = "pair each left part with its right one"
    yield from found("error", "flip_pairs", "flip pairs that join two different parts", do, wrong)


def _are_twins(first: Sided, second: Sided) -> bool:
    return first.part == second.part and first.side != second.side


def side_of(name: str) -> Sided | None:
    """Return the side and body part of a keypoint's name; None for the middle.

    Examples:
        >>> side_of("left_hip"), side_of("LHip")
        (Sided(side='left', part='hip', spelt_out=True), Sided(side='left', part='hip', spelt_out=False))
        >>> side_of("nose") is None
        True
    """
    words = list(_words(name))
    for place, word in enumerate(words):
        if word in SIDES:
            return Sided(SIDES[word], "_".join(words[:place] + words[place + 1 :]), spelt_out=len(word) > 1)
    for side in OTHER_SIDE:
        if words and words[0].startswith(side):
            return Sided(side, "_".join([words[0].removeprefix(side), *words[1:]]), spelt_out=False)
    return None


def _words(name: str) -> Iterator[str]:
    return (word.lower() for word in re.split(r"[\s_\-]+", _HUMP.sub("_", name.strip())) if word)
