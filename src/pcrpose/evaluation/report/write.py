"""Reports: everything that an evaluation says about a model, as one HTML page that needs no network."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.report.elements import Html, element, escaped, joined
from pcrpose.evaluation.report.measure import Measured, measure
from pcrpose.evaluation.report.plots import require_matplotlib
from pcrpose.evaluation.report.sections import (
    errors_section,
    groups_section,
    metrics_section,
    pck_section,
    persons_section,
    reliability_section,
)
from pcrpose.files.atomic import write_text
from pcrpose.files.checks import at_least
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.poses import Poses

_PARTS = {
    "metrics": "Metrics",
    "groups": "Groups",
    "errors": "Errors",
    "reliability": "Scores",
    "pck": "PCK",
    "persons": "Persons",
}


def write_report(
    path: str | Path,
    evaluator: CocoEvaluator,
    poses: Mapping[int, Poses],
    *,
    title: str = "Evaluation",
    facts: Mapping[str, str] | None = None,
    open_image: Callable[[int], Image] | None = None,
    image_names: Mapping[int, str] | None = None,
    draws: int = 1000,
) -> None:
    """Write one HTML page about the poses of an evaluator: metrics, groups, errors, reliability, PCK, persons.

    Style, plots and images are part of the file, which appears whole or not at all.

    Args:
        path: of the file.
        evaluator: with the poses of every image; not changed.
        poses: the same poses, by image id.
        title: heading of the page, the model's name for example.
        facts: what was measured on what, by what it is: ``{"boxes": "annotated"}``.
        open_image: returns ``(H, W, 3)`` uint8 RGB pixels by image id; without it nobody is drawn.
        image_names: what captions call the images, by image id.
        draws: resamples for the intervals.

    Raises:
        ImportError: without matplotlib, the extra ``report``; before anything is computed.
        FileExistsError: if ``path`` is there already.
        ValueError: if ``poses`` are not those of the evaluator.
    """
    require_matplotlib()
    at_least("draws", draws, 1)
    if Path(path).exists():
        raise FileExistsError(f"{path}: expected the name of a new file, found one that is there")
    measured = measure(evaluator, poses, draws=draws)
    names = [name.replace("_", " ") for name in measured.skeleton.keypoints]
    body = joined(
        [
            _header(title, measured, facts or {}),
            _navigation(),
            element(
                "main",
                metrics_section(measured),
                groups_section(measured),
                errors_section(measured, names),
                reliability_section(measured, names),
                pck_section(measured, names),
                persons_section(measured, open_image, image_names or {}),
                id="content",
            ),
        ]
    )
    write_text(Path(path), _page(title, body))


def _header(title: str, measured: Measured, facts: Mapping[str, str]) -> Html:
    metrics = measured.metrics
    counts = {
        "images": str(metrics.num_images),
        "persons": str(metrics.num_persons),
        "poses": str(metrics.num_poses),
        "skeleton": f"{measured.skeleton.name}, {measured.skeleton.num_keypoints} keypoints",
    }
    entries = [
        element("div", element("dt", what), element("dd", content)) for what, content in {**facts, **counts}.items()
    ]
    return element("header", element("h1", title), element("dl", joined(entries)))


def _navigation() -> Html:
    links = [element("li", element("a", title, href=f"#{name}")) for name, title in _PARTS.items()]
    return element("nav", element("ul", joined(links)), aria_label="Parts of the report")


def _page(title: str, body: Html) -> str:
    style = (files("pcrpose.evaluation.report") / "page.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the results</a>
{body}
</body>
</html>
"""
