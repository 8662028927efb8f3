"""Lenient reading of COCO annotation files: what `read_coco` raises for becomes a finding, and reading goes on."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pcrpose.data.readers.coco import PERSON, Record, skeleton_of
from pcrpose.data.readers.findings import Finding, Findings, found
from pcrpose.data.readers.json_file import load_json

Records: TypeAlias = tuple[Record, ...]

SECTIONS = {
    "images": "id, file_name, width and height of every image",
    "annotations": "image_id, bbox and keypoints of every person",
    "categories": "a name and the names of the keypoints",
}

# Fields of the first entry; results of pose estimation may have a center, but not the name of an image.
_OTHER_FORMS = {"AI Challenger's": {"keypoint_annotations"}, "MPII's": {"center", "image"}}


class ImageFile(NamedTuple):
    """An image's entry and where its file should be."""

    record: Record
    path: Path


@dataclass(frozen=True, eq=False, kw_only=True)
class AnnotationFile:
    """The parts of a COCO file that are there.

    Attributes:
        name: what messages call it.
        content: what was read; None where that is no object with sections.
        findings: what was wrong with the sections.
        images: the entries of ``images`` that are objects.
        annotations: likewise.
        categories: likewise.
    """

    name: str
    content: Record | None
    findings: tuple[Finding, ...]
    images: Records
    annotations: Records
    categories: Records

    @classmethod
    def read(cls, source: str | Path | Record) -> "AnnotationFile":
        """Read a file, or take the content of one.

        Raises:
            OSError: if the file cannot be opened; everything else becomes a finding.
        """
        if isinstance(source, Mapping):
            return cls._of(source, "annotations")
        try:
            return cls._of(load_json(source).content, str(source))
        except ValueError as error:
            what = f"{source} is not JSON ({error.__cause__}); write it again, or look for a download that broke off"
            return cls._broken(str(source), Finding(severity="error", check="json", message=what))

    @classmethod
    def _of(cls, content: Any, name: str) -> "AnnotationFile":  # noqa: ANN401 - whatever JSON holds
        if not isinstance(content, Mapping):
            what = f"{name} {_kind_of(content)}; give an object with {', '.join(SECTIONS)}"
            return cls._broken(name, Finding(severity="error", check="sections", message=what))
        parts = {key: tuple(value for value in _list(content, key) if isinstance(value, Mapping)) for key in SECTIONS}
        return cls(
            name=name,
            content=content,
            findings=tuple(_check_sections(content)),
            images=parts["images"],
            annotations=parts["annotations"],
            categories=parts["categories"],
        )

    @classmethod
    def _broken(cls, name: str, finding: Finding) -> "AnnotationFile":
        return cls(name=name, content=None, findings=(finding,), images=(), annotations=(), categories=())

    @property
    def keypoint_categories(self) -> Records:
        """The categories that name keypoints; it should be one."""
        return tuple(category for category in self.categories if category.get("keypoints"))

    @property
    def category(self) -> Record:
        """The persons' category: the first with keypoints, else COCO's person, else an empty one."""
        persons = (category for category in self.categories if category.get("id") == PERSON)
        return next(iter(self.keypoint_categories), None) or next(persons, {})

    @cached_property
    def persons(self) -> Records:
        """The annotations that `read_coco` would look at: of the category, and no crowds."""
        wanted = self.category.get("id")
        return tuple(
            annotation
            for annotation in self.annotations
            if annotation.get("category_id", wanted) == wanted and not annotation.get("iscrowd", 0)
        )

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """The category's names of keypoints, spelt as `skeleton_of` does; none where it has no list of them."""
        return tuple(skeleton_of({"keypoints": [name]}).keypoints[0] for name in _list(self.category, "keypoints"))

    @property
    def num_keypoints(self) -> int:
        """J: as many as the category names, else as most persons have values for."""
        if names := _list(self.category, "keypoints"):
            return len(names)
        lengths = Counter(len(_list(person, "keypoints")) for person in self.persons)
        return max(lengths, key=lengths.__getitem__) // 3 if lengths else 0

    def image_files(self, images: Path) -> list[ImageFile]:
        """Join the folder ``images`` and the names of the files, each file once."""
        named = {str(image["file_name"]): image for image in self.images if isinstance(image.get("file_name"), str)}
        return [ImageFile(image, images / name) for name, image in named.items()]

    def summary(self) -> str:
        """Count what is there, as ``12 images, 40 persons of 'racket' (5 keypoints)``."""
        if self.content is None:
            return "nothing could be read"
        images, persons = len(self.images), len(self.persons)
        return (
            f"{images} image{'s' * (images != 1)}, {persons} person{'s' * (persons != 1)} "
            f"of {self.category.get('name', 'no category')!r} ({self.num_keypoints} keypoints)"
        )


def _kind_of(content: object) -> str:
    """Return a description of content that is no object."""
    if not isinstance(content, list):
        return "holds no object"
    first = content[0] if content and isinstance(content[0], Mapping) else {}
    for form, fields in _OTHER_FORMS.items():
        if fields <= first.keys():
            return f"is in {form} form, which is not examined, only conversions to COCO's are"
    return f"is a list of {len(content)}, as detections are"


def _list(record: Record, key: str) -> list[Any]:
    value = record.get(key)
    return value if isinstance(value, list) else []


def _check_sections(content: Record) -> Findings:
    missing = [key for key in SECTIONS if not isinstance(content.get(key), list)]
    do = "; ".join(f"{key!r} lists {SECTIONS[key]}" for key in missing)
    yield from found("error", "sections", "missing sections", do, missing)
    for key in SECTIONS:
        odd = [place for place, value in enumerate(_list(content, key)) if not isinstance(value, Mapping)]
        do = "every entry is an object; leave out what is none"
        yield from found("error", "sections", f"entries of {key!r} that are no objects", do, odd)
    empty = [key for key in ("images", "annotations") if content.get(key) == []]
    yield from found("error", "sections", "empty sections", "nothing can be learnt or measured", empty)
