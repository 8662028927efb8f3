"""Sections of the report: each turns what was measured into tables, plots and sentences."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from pcrpose.evaluation.bootstrap import METRICS, Interval
from pcrpose.evaluation.error_types import ALL_ERRORS, ERROR_TYPES, GOOD, MATCHED, NEAR
from pcrpose.evaluation.pairs import BOX_OVERLAP
from pcrpose.evaluation.reliability import Reliability
from pcrpose.evaluation.report.elements import (
    NOTHING,
    Html,
    element,
    figure,
    image,
    joined,
    paragraph,
    section,
    table,
)
from pcrpose.evaluation.report.measure import PCK_STEPS, RIGHT, Measured, ScoreReliability, ShownPerson
from pcrpose.evaluation.report.persons import draw_person
from pcrpose.evaluation.report.plots import plot_errors, plot_pck, plot_precision, plot_reliability, plot_slices
from pcrpose.evaluation.slices import Slice
from pcrpose.keypoints.arrays import Image

NO_PERSONS = "no persons"
NO_KEYPOINTS = "no keypoints"
_PCK_SHOWN = (0.05, 0.1, 0.2)
_MEANINGS = {
    "good": f"most similar to its own place, at least {GOOD:g}",
    "jitter": f"most similar to its own place, {NEAR:g} to {GOOD:g}",
    "inversion": "at the place of its left or right partner",
    "swap": "at a place of another person",
    "miss": f"at no such place: all similarities are below {NEAR:g}",
}
_LABELS = {
    "ap": "AP",
    "ap50": "AP at OKS .50",
    "ap75": "AP at OKS .75",
    "ap_medium": "AP medium",
    "ap_large": "AP large",
    "ar": "AR",
    "ar50": "AR at OKS .50",
    "ar75": "AR at OKS .75",
    "ar_medium": "AR medium",
    "ar_large": "AR large",
}


def metrics_section(measured: Measured) -> Html:
    """Show COCO's ten metrics with their intervals, and precision over recall."""
    rows = [(_LABELS[name], *_metric(getattr(measured.metrics, name), measured.intervals[name])) for name in METRICS]
    plots: list[Html] = []
    if measured.metrics.num_persons:
        plots.append(figure(plot_precision(measured.metrics), "Precision over recall; AP is the area under a curve."))
    return section(
        "metrics",
        "Metrics",
        _columns(table("COCO's metrics", ("metric", "value", "95 % interval"), rows), *plots),
        paragraph(
            f"Intervals: {measured.draws} resamples of the images with replacement. AP and AR are means over the OKS "
            "thresholds .50, .55, … .95.",
            note=True,
        ),
    )


def groups_section(measured: Measured) -> Html:
    """Show AP by size, by visible keypoints and by overlap."""
    groups = {"size": measured.sizes, "visible": measured.visible, "overlap": measured.overlap}
    headers = ("group", "persons", "AP", "95 % interval", "AR")
    tables = [
        table("By size of the person", headers, _slice_rows(measured.sizes)),
        table("By number of visible keypoints", headers, _slice_rows(measured.visible)),
        table("By overlap with a neighbor", headers, _slice_rows(measured.overlap)),
    ]
    plots: list[Html] = []
    if measured.metrics.num_persons:
        plots.append(figure(plot_slices(groups), "AP of each group that has persons; bars are 95 % intervals."))
    small = f" Smaller ones, here {measured.num_small}, count in the first row alone." if measured.num_small else ""
    return section(
        "groups",
        "Groups of persons",
        _columns(*plots, joined(tables[:1])),
        _columns(*tables[1:]),
        paragraph(
            f"Medium is an area of 32² to 96² pixels, large is above, as COCO has it.{small} Visible keypoints have "
            "visibility 2; hidden ones are labelled, but not visible. Overlap is the intersection over union of the "
            "person's box and that of the neighbor who overlaps most. A pose counts in the group of the person whose "
            "box it has; one that is nobody's counts in every group.",
            note=True,
        ),
    )


def errors_section(measured: Measured, names: Sequence[str]) -> Html:
    """Show the error types, and what AP would be without them."""
    errors = measured.errors
    total = int(errors.counts.sum())
    lead = paragraph(
        f"{errors.num_matched} of {errors.num_poses} poses are matched with a person, from an OKS of {MATCHED:g}; "
        f"they have {total} labelled keypoints."
    )
    if not total:
        return section("errors", "Error types", lead, paragraph(f"Error types: {NO_KEYPOINTS}."))
    rows: list[tuple[str, ...]] = []
    for number, name in enumerate(ERROR_TYPES):
        count = int(errors.counts[:, number].sum())
        label = Html(element("span", class_=f"key {name}", aria_hidden="true") + name)
        rows.append((label, str(count), f"{count / total:.1%}", _gain(measured, name)))
    wrong = int(errors.counts[:, 1:].sum())
    rows.append((ALL_ERRORS, str(wrong), f"{wrong / total:.1%}", _gain(measured, ALL_ERRORS)))
    headers = ("type", "keypoints", "fraction", "AP when corrected")
    meanings = [element("div", element("dt", name), element("dd", meaning)) for name, meaning in _MEANINGS.items()]
    plot = figure(plot_errors(errors.counts, names), "Error types of each keypoint's labelled instances.")
    types = element(
        "div",
        table("Error types of keypoints", headers, rows),
        element("dl", joined(meanings), class_="meanings"),
    )
    return section(
        "errors",
        "Error types",
        lead,
        _columns(types, plot),
        paragraph(
            "Types as of Ronchi and Perona (ICCV 2017). Similarity is a keypoint's term of OKS. AP when corrected: "
            "only errors of this type are moved to their place, up to the distance at which they are no such error any "
            "more; scores stay.",
            note=True,
        ),
    )


def reliability_section(measured: Measured, names: Sequence[str]) -> Html:
    """Show how well scores, and probabilities where there are any, tell right keypoints from wrong ones."""
    kinds = {"keypoint score": measured.scores}
    if measured.probabilities is not None:
        kinds["keypoint probability"] = measured.probabilities
    parts = [part for kind, found in kinds.items() for part in _reliability_parts(kind, found, names)]
    without = (
        "These poses have no keypoint probabilities. Keypoint scores are heatmap peaks and not meant as probabilities; "
        "the numbers say how far they are from that. "
        if measured.probabilities is None
        else ""
    )
    return section(
        "reliability",
        "Reliability of the scores",
        *parts,
        paragraph(
            f"{without}A keypoint is right where its similarity is above {RIGHT:g}. Counted are the labelled keypoints "
            f"of {measured.num_paired} persons who have a pose, paired by their boxes (intersection over union at "
            f"least {BOX_OVERLAP:g}). Calibration error: mean distance of promised and observed fraction over tenths "
            "of the scale. Brier score: mean squared distance from what came true, 0 or 1.",
            note=True,
        ),
    )


def pck_section(measured: Measured, names: Sequence[str]) -> Html:
    """Show PCK over its threshold."""
    curve = measured.pck
    if not curve[-1].counted.any():
        return section("pck", "PCK", paragraph(f"PCK: {NO_KEYPOINTS}."))
    places = [int(np.abs(PCK_STEPS - shown).argmin()) for shown in _PCK_SHOWN]
    rows = [("all keypoints", str(int(curve[-1].counted.sum())), *(f"{curve[place].overall:.3f}" for place in places))]
    for joint, name in enumerate(names):
        values = [curve[place].per_keypoint[joint] for place in places]
        cells = [NOTHING if np.isnan(value) else f"{value:.3f}" for value in values]
        rows.append((name, str(int(curve[-1].counted[joint])), *cells))
    headers = ("keypoint", "labelled", *(f"PCK at {shown:g}" for shown in _PCK_SHOWN))
    plot = figure(
        plot_pck(PCK_STEPS, curve, names), "PCK over the threshold; shaded from the worst to the best keypoint."
    )
    return section(
        "pck",
        "PCK",
        _columns(table("PCK by keypoint", headers, rows), plot),
        paragraph(
            "PCK: fraction of the labelled keypoints at most so far from their place, the distance as a fraction of "
            "the longer side of the person's box. Persons without a pose are missed.",
            note=True,
        ),
    )


def persons_section(
    measured: Measured, open_image: Callable[[int], Image] | None, image_names: Mapping[int, str]
) -> Html:
    """Draw the best and the worst persons, found beside annotated."""
    if open_image is None:
        return section("persons", "Best and worst persons", paragraph("No images were given, so nobody is drawn."))
    parts: list[Html] = []
    for title, persons in (("Best", measured.best), ("Worst", measured.worst)):
        cards = [_card(person, open_image(person.image_id), image_names) for person in persons]
        parts.append(element("h3", title))
        parts.append(element("ul", joined(cards), class_="persons") if cards else paragraph(f"{NO_PERSONS}."))
    missed = measured.metrics.num_persons - measured.num_paired
    lost = f" Persons without a pose of their box, here {missed}, are not among them." if missed else ""
    return section(
        "persons",
        "Best and worst persons",
        *parts,
        paragraph(
            "By OKS; left the pose, right the annotation. Left sides are sky blue, right sides orange. The best have "
            f"at least half of their keypoints labelled, where there are such persons.{lost}",
            note=True,
        ),
    )


def _columns(*parts: Html) -> Html:
    return element("div", joined(part for part in parts if part), class_="columns")


def _metric(value: float, interval: Interval) -> tuple[str, str]:
    return (NO_PERSONS, NOTHING) if value < 0 else (f"{value:.3f}", str(interval))


def _slice_rows(slices: Iterable[Slice]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in slices:
        value, interval = _metric(one.ap, one.interval)
        rows.append((one.name, str(one.num_persons), value, interval, NOTHING if one.ar < 0 else f"{one.ar:.3f}"))
    return rows


def _gain(measured: Measured, name: str) -> str:
    """Return AP without a type of error, and how much that is more."""
    after = measured.errors.ap_corrected.get(name)
    if after is None or measured.errors.ap < 0:
        return NOTHING
    return f"{after:.3f} ({after - measured.errors.ap:+.3f})"


def _reliability_parts(kind: str, found: ScoreReliability, names: Sequence[str]) -> list[Html]:
    if found.pooled is None:
        return [paragraph(f"Reliability of the {kind}: {NO_KEYPOINTS}.")]
    pooled = found.pooled
    rows = [
        ("calibration error", f"{pooled.calibration_error:.3f}", str(found.intervals["calibration_error"])),
        ("Brier score", f"{pooled.brier:.3f}", str(found.intervals["brier"])),
    ]
    headers = ("keypoint", "labelled", f"mean {kind}", "right", "calibration error", "Brier score")
    caption = f"How often keypoints are right, over their {kind}. Larger dots stand for more keypoints."
    return [
        _columns(
            table(f"{kind.capitalize()}: reliability over all keypoints", ("", "value", "95 % interval"), rows),
            figure(plot_reliability(pooled, kind), caption),
        ),
        table(
            f"{kind.capitalize()}: reliability by keypoint",
            headers,
            [(name, *_reliability_cells(one)) for name, one in zip(names, found.per_keypoint, strict=True)],
        ),
    ]


def _reliability_cells(found: Reliability | None) -> tuple[str, ...]:
    if found is None:
        return "0", *(NOTHING,) * 4
    number = int(found.counts.sum())
    means = (float(np.nansum(values * found.counts) / number) for values in (found.promised, found.observed))
    numbers = (*means, found.calibration_error, found.brier)
    return str(number), *(f"{value:.3f}" for value in numbers)


def _card(person: ShownPerson, pixels: Image, image_names: Mapping[int, str]) -> Html:
    name = image_names.get(person.image_id, f"image {person.image_id}")
    found, annotated = draw_person(pixels, person)
    score = float(person.pose.pose_scores[0])
    what = f"a person in {name}, OKS {person.oks:.2f}"
    return element(
        "li",
        element("div", image(found, f"Pose of {what}"), image(annotated, f"Annotation of {what}"), class_="pair"),
        element("p", element("b", f"OKS {person.oks:.2f}"), f", score {score:.2f}, {person.num_labelled} labelled"),
        element("p", name, class_="note"),
    )
