"""Person checks: boxes, keypoints and areas, and how these fit together."""

from collections import Counter

import numpy as np

from pcrpose.data.doctor.people import BORDER, People, describe, key_of
from pcrpose.data.readers.coco_file import AnnotationFile, Records
from pcrpose.data.readers.findings import Findings, Severity, found
from pcrpose.data.readers.json_file import finite_numbers

SMALL = 32.0  # pixels: COCO labels no keypoints on persons of less than 32 x 32
MANY_SMALL = 0.25
MOST = 0.5
FAR = 0.5  # of a box's longer side
EYES_TO_JUDGE, SWAPPED_EYES = 20, 0.8


def check_persons(file: AnnotationFile) -> Findings:
    """Check every annotation, and the persons among them: no crowds, no other categories."""
    yield from _check_belonging(file)
    persons, count = file.persons, file.num_keypoints
    yield from _check_values(persons, count)
    if persons and count:
        people = People.of(file)
        yield from _check_labels(people, persons)
        yield from _check_boxes(people)
        yield from _check_areas(people, persons)
        if people.useful.any():
            yield from _check_places(people)
            yield from _check_use(people, file.keypoint_names)


def _check_belonging(file: AnnotationFile) -> Findings:
    """Check the ids that annotations refer to."""
    if not file.images:  # said already
        return
    known = {key_of(image["id"]) for image in file.images if "id" in image}
    strange = [entry for entry in file.annotations if key_of(entry.get("image_id")) not in known]
    as_text = {str(number) for _, number in known}
    do = "take them out, or add the images"
    if strange and all(str(entry.get("image_id")) in as_text for entry in strange):
        do = "write the ids as numbers in both places: here they are text in one"
    where = [f"{describe(entry)} of image {entry.get('image_id', 'without id')}" for entry in strange]
    total = len(file.annotations)
    yield from found("error", "unknown_images", "annotations of images not listed", do, where, total=total)
    categories = {key_of(category.get("id")) for category in file.categories}
    where = [
        describe(entry)
        for entry in file.annotations
        if "category_id" in entry and key_of(entry["category_id"]) not in categories
    ]
    do = "they are left out: correct category_id"
    yield from found("error", "unknown_categories", "annotations of categories not listed", do, where, total=total)
    where = [describe(entry) for entry in file.annotations if "category_id" not in entry]
    do = "reading takes them for the category with keypoints, evaluation wants it said"
    yield from found("warning", "unknown_categories", "annotations without category_id", do, where, total=total)
    ids = Counter(key_of(entry["id"]) for entry in file.annotations if "id" in entry)
    where = [f"{number}" for (_, number), times in ids.items() if times > 1]
    do = "number them anew; other programs keep one of each"
    yield from found("warning", "annotation_ids", "annotation ids that come twice", do, where)


def _check_values(persons: Records, count: int) -> Findings:
    """Check that keypoints and boxes are lists of the right number of finite numbers."""
    odd = [person for person in persons if finite_numbers(person.get("keypoints"), 3 * count) is None]
    lengths = Counter(len(values) if isinstance(values := person.get("keypoints"), list) else 0 for person in odd)
    common = lengths.most_common(1)[0][0] if odd else 0
    do = f"write x, y and visibility for each of {count} keypoints, {3 * count} numbers"
    if count and common == 2 * count:
        do += "; the visibility is missing (2 visible, 1 hidden, 0 not labelled)"
    elif common == 3 * count:
        do += ", all of them finite"
    elif common:
        do += f", not {common}"
    where, total = [describe(person) for person in odd], len(persons)
    yield from found("error", "keypoint_values", "persons with wrong keypoints", do, where, total=total)
    where = [describe(person) for person in persons if finite_numbers(person.get("bbox"), 4) is None]
    do = "write four finite numbers in 'bbox': left, top, width, height"
    yield from found("error", "boxes", "persons without a usable box", do, where, total=total)


def _check_labels(people: People, persons: Records) -> Findings:
    """Check for persons without labels, labels of another meaning, and repeated persons."""
    read = ~np.isnan(people.keypoints).any(axis=(1, 2))
    placed = (np.nan_to_num(people.keypoints[..., :2]) != 0).any(axis=(1, 2))
    empty, hushed = read & ~people.useful & ~placed, read & ~people.useful & placed
    do = "their targets are all zero: set the visibility of what is annotated to 1 (hidden) or 2 (visible)"
    yield from people.tell("error", "no_labels", "persons whose keypoints all have visibility 0", do, hushed)
    severity: Severity = "error" if empty.all() else "warning"
    do = (
        "nothing can be learnt: are they in another field?"
        if empty.all()
        else "training leaves them out, which is usual for persons too small to label"
    )
    yield from people.tell(severity, "no_labels", "persons without a labelled keypoint", do, empty)
    visibility = people.keypoints[..., 2]
    strange = ~np.isin(visibility, (0, 1, 2)) & ~np.isnan(visibility)
    worst = np.unique(visibility[strange])[:3].tolist()
    do = f"use 0 not labelled, 1 hidden, 2 visible; found {', '.join(f'{value:g}' for value in worst)}"
    if worst == [3]:
        do += ": AI Challenger's 1 visible, 2 hidden, 3 not labelled"
    yield from people.tell("error", "visibility", "persons with other visibilities", do, strange.any(axis=1))
    stated = np.array([(finite_numbers([person.get("num_keypoints")], 1) or [np.nan])[0] for person in persons])
    differing = read & ~np.isnan(stated) & ((stated > 0) != people.useful)
    do = "evaluation goes by it: count the labelled keypoints anew"
    yield from people.tell("error", "num_keypoints", "persons whose num_keypoints is wrong", do, differing)
    twins = Counter(keys := [f"{person.get('image_id')} {person.get('keypoints')}" for person in persons])
    again = np.array([twins[key] > 1 for key in keys]) & people.useful
    do = "keep one of each"
    yield from people.tell("warning", "repeated_persons", "persons annotated more than once", do, again)


def _check_boxes(people: People) -> Findings:
    """Check that boxes lie in their images and are left, top, width, height."""
    boxes, useful = people.boxes_xywh, people.useful
    if 0 < np.nanmax(np.abs(boxes[useful]), initial=0) <= 1:
        do = "write them in pixels: left, top, width, height"
        yield from people.tell("error", "boxes", "boxes between 0 and 1", do, useful)
        return
    flat = useful & ~people.extended & ~np.isnan(boxes).any(axis=1)
    do = "'bbox' is left, top, width, height in pixels"
    yield from people.tell("error", "boxes", "boxes without extent", do, flat)
    if people.corners_instead:
        do = "they look like left, top, right, bottom: write left, top, width, height"
        yield from people.tell("error", "boxes", "boxes that leave their image", do, people.outside_by > BORDER)
        return
    if people.centers_instead:
        do = "they look like center, width, height: take half the width and height off the first two"
        yield from people.tell("error", "boxes", "boxes right of and below their persons", do, people.extended)
        return
    start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    beside = ((end <= 0) | (start > people.sizes - 1)).any(axis=1)
    do = "training leaves them out: correct the box, or the image it belongs to"
    yield from people.tell("error", "boxes", "boxes outside their image", do, beside & useful & ~flat)
    partly = useful & ~beside & ~flat & (people.outside_by > BORDER)
    do = f"more than {BORDER:g} pixels over the border; boxes are clipped to the image"
    yield from people.tell("warning", "boxes", "boxes that leave their image", do, partly)
    small = useful & ~flat & (boxes[:, 2:].max(axis=1) < SMALL)
    if small.sum() > MANY_SMALL * useful.sum():
        do = f"under {SMALL:g} pixels hardly a keypoint can be told: take larger images"
        yield from people.tell("warning", "small_persons", "very small persons", do, small)


def _check_areas(people: People, persons: Records) -> Findings:
    """Check the areas, which are the scale of OKS."""
    missing = np.array(["area" not in person for person in persons]) & people.useful
    do = "training takes the box's; evaluation needs it, or area_per_box"
    yield from people.tell("warning", "areas", "persons without an area", do, missing)
    unusable = people.useful & ~missing & ~(people.areas > 0)
    do = "training leaves such persons out: write the segment's area, or 0.53 of the box"
    yield from people.tell("error", "areas", "areas that are not positive", do, unusable)
    width, height = people.boxes_xywh[:, 2:].T
    fitting = people.extended & ~people.corners_instead
    large = people.useful & fitting & (people.areas > (width + BORDER) * (height + BORDER))
    do = "an area is in square pixels; too large a one flatters every metric"
    yield from people.tell("warning", "areas", "areas larger than the box", do, large)


def _check_places(people: People) -> Findings:
    """Check the positions of labelled keypoints: at the corner, outside the image, far from the box."""
    labelled, points = people.labelled, people.points
    total = int(labelled.sum())
    if total and np.nanmax(np.abs(points)) <= 1:
        do = "multiply x by the image's width and y by its height"
        what = "labelled keypoints between 0 and 1"
        yield from people.tell_keypoints("error", "keypoint_places", what, do, labelled)
        return
    origin = (points == 0).all(axis=2)
    do = "set the visibility of missing keypoints to 0"
    yield from people.tell_keypoints("error", "keypoint_places", "keypoints labelled at (0, 0)", do, origin)
    sizes = people.sizes[:, None]
    beyond = ((points < -BORDER) | (points > sizes - 1 + BORDER)).any(axis=2)
    severity: Severity = "error" if beyond.sum() > MOST * total else "warning"
    do = "are they of the image in another size, or of a crop?" if severity == "error" else "correct them"
    what = "keypoints labelled outside their image"
    yield from people.tell_keypoints(severity, "keypoint_places", what, do, beyond)
    if not (people.corners_instead or people.centers_instead):
        start, extent = people.boxes_xywh[:, None, :2], people.boxes_xywh[:, None, 2:]
        margin = FAR * extent.max(axis=2, keepdims=True)
        far = ((points < start - margin) | (points > start + extent + margin)).any(axis=2) & ~origin & ~beyond
        far &= people.extended[:, None]
        severity = "error" if far.sum() > MOST * total else "warning"
        do = "do box and keypoints belong to one person, in one scale?"
        what = "keypoints labelled far outside their box"
        yield from people.tell_keypoints(severity, "keypoint_places", what, do, far)


def _check_use(people: People, names: tuple[str, ...]) -> Findings:
    """Check each keypoint over all persons: ever labelled, left and right the person's own."""
    never = np.flatnonzero(~people.labelled.any(axis=0))
    where = [names[index] if index < len(names) else f"keypoint {index + 1}" for index in never]
    do = "a model cannot learn them: label some, or leave them out of the skeleton"
    yield from found("warning", "never_labelled", "keypoints that nobody has labelled", do, where)
    if not {"nose", "left_eye", "right_eye"} <= set(names):
        return
    nose, left, right = (names.index(name) for name in ("nose", "left_eye", "right_eye"))
    # with a visible nose and both eyes the face is seen from in front: the left eye is on the image's right
    faces = (people.keypoints[:, nose, 2] == 2) & people.labelled[:, left] & people.labelled[:, right]  # noqa: PLR2004 - visible
    swapped = faces & (people.points[:, left, 0] < people.points[:, right, 0])
    if faces.sum() >= EYES_TO_JUDGE and swapped.sum() > SWAPPED_EYES * faces.sum():
        do = "left is the person's own left: is it the viewer's here?"
        yield from people.tell("warning", "sides", "faces whose left eye is left of the right one", do, swapped)
