"""Examine an annotation file: all checks of the doctor in one call."""

from pathlib import Path

from pcrpose.data.doctor.check_images import check_images, check_shared
from pcrpose.data.doctor.check_persons import check_persons
from pcrpose.data.doctor.check_skeleton import check_skeleton
from pcrpose.data.readers.coco import Record, read_coco
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.findings import Finding, Findings, found
from pcrpose.keypoints.skeleton import Skeleton


def examine(
    annotations: str | Path | Record | AnnotationFile,
    images: str | Path | None = None,
    *,
    skeleton: Skeleton | None = None,
    against: str | Path | Record | AnnotationFile | None = None,
    against_images: str | Path | None = None,
) -> list[Finding]:
    """Check for everything that would stop a training, lose labels or teach something wrong.

    Nothing stops at the first problem. A file without errors can be read by `read_coco`.

    Args:
        annotations: the JSON file, or its content.
        images: folder of the images; without it their files are not checked. A file that ends as its format does
            counts as whole; only others are decoded.
        skeleton: of the keypoints; by default the one that the file's category describes.
        against: another annotation file, which should have no image in common.
        against_images: folder of its images; with both folders the files are compared byte by byte.

    Returns:
        One finding per kind of problem, errors first.

    Raises:
        OSError: if an annotation file cannot be opened.

    Examples:
        >>> category = {"id": 1, "name": "stick", "keypoints": ["left_end", "rihgt_end"]}
        >>> person = {"id": 4, "image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 30], "area": 900}
        >>> content = {
        ...     "images": [{"id": 1, "file_name": "a.jpg", "width": 50, "height": 40}],
        ...     "annotations": [person | {"keypoints": [5, 5, 2, 35, 25, 2]}],
        ...     "categories": [category],
        ... }
        >>> for finding in examine(content):
        ...     print(finding.check, finding.examples)
        flip_pairs ('rihgt_end (right_end?)',)
    """
    file = annotations if isinstance(annotations, AnnotationFile) else AnnotationFile.read(annotations)
    other = against if against is None or isinstance(against, AnnotationFile) else AnnotationFile.read(against)
    folder, other_folder = (None if path is None else Path(path) for path in (images, against_images))
    findings = list(file.findings)
    if file.content is not None:
        findings += check_skeleton(file, skeleton)
        findings += check_images(file, folder)
        findings += check_persons(file)
        if not any(finding.severity == "error" for finding in findings):
            findings += _check_reading(file.content, skeleton)
    if other is not None:
        findings += other.findings if other.content is None else check_shared(file, folder, other, other_folder)
    return sorted(findings, key=lambda finding: finding.severity)


def _check_reading(content: Record, skeleton: Skeleton | None) -> Findings:
    """Check that a file without errors can be read."""
    try:
        read_coco(content, "", skeleton=skeleton)
    except (TypeError, ValueError) as error:
        yield from found("error", "reading", "reading stops", "correct it", [error])
