"""Plots of the report as inline SVG, drawn by matplotlib in colors that the page chooses, light or dark."""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from pcrpose.evaluation.coco import CocoMetrics
from pcrpose.evaluation.error_types import ERROR_TYPES
from pcrpose.evaluation.pck import PckMetrics
from pcrpose.evaluation.reliability import Reliability
from pcrpose.evaluation.report.elements import Html, element
from pcrpose.evaluation.slices import Slice
from pcrpose.files.extras import install_command
from pcrpose.keypoints.arrays import Floats, Indices

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colors that stand for variables of the page's style sheet, and are replaced by them.
INK, MUTED, GRID, ACCENT, SECOND = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"
TYPE_COLORS = {name: f"#1a1b{number:02x}" for number, name in enumerate(ERROR_TYPES, start=0x10)}
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    ACCENT: "--accent",
    SECOND: "--second",
    **{color: f"--{name}" for name, color in TYPE_COLORS.items()},
}
_WIDTH = 5.0  # inches of 72 units
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",  # letters stay text, in the page's font
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def require_matplotlib() -> None:
    """Raise ImportError, which says what to install, unless matplotlib is there."""
    if find_spec("matplotlib") is None:
        raise ImportError(f"a report needs matplotlib: {install_command('report')}")


def plot_precision(metrics: CocoMetrics) -> Html:
    """Plot precision over recall at three OKS thresholds, and their mean over all ten."""
    precision = metrics.precision[:, :, 0, 0, 0]
    recall = np.linspace(0, 1, precision.shape[1])

    def draw(axes: "Axes") -> None:
        for row, style, color in ((0, ":", ACCENT), (5, "--", ACCENT), (9, "-.", SECOND)):
            axes.plot(recall, precision[row], style, color=color, label=f"OKS {0.5 + 0.05 * row:.2f}")
        axes.plot(recall, precision.mean(axis=0), color=INK, label="mean of ten")
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=4, columnspacing=1.0, handlelength=1.6)

    alternative = (
        f"Precision over recall. The area under the curve is {metrics.ap50:.3f} at OKS 0.50, "
        f"{metrics.ap75:.3f} at 0.75 and {metrics.ap:.3f} for the mean."
    )
    return _svg("precision", draw, alternative)


def plot_slices(groups: Mapping[str, Sequence[Slice]]) -> Html:
    """Plot the AP of every group that has persons, with its interval."""
    rows = [(f"{kind}: {one.name}", one) for kind, slices in groups.items() for one in slices if one.num_persons]
    places = np.arange(len(rows))

    def draw(axes: "Axes") -> None:
        for place, (_, one) in zip(places.tolist(), rows, strict=True):
            axes.plot(one.interval, (place, place), color=ACCENT, linewidth=5, alpha=0.35, solid_capstyle="round")
            axes.plot([one.ap], [place], "o", color=ACCENT, markersize=6)
        axes.set_yticks(places, [name for name, _ in rows])
        axes.set(xlabel="AP", xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")

    alternative = "AP by group of persons: " + ", ".join(f"{name} {one.ap:.3f}" for name, one in rows)
    return _svg("groups", draw, alternative, height=0.9 + 0.24 * len(rows))


def plot_errors(counts: Indices, names: Sequence[str]) -> Html:
    """Plot the fraction of each error type, keypoint by keypoint.

    Args:
        counts: ``(J, 5)`` intp, labelled keypoints by ``ERROR_TYPES``.
        names: of the J keypoints.
    """
    totals = counts.sum(axis=1, keepdims=True)
    fractions = counts / np.maximum(totals, 1)
    places = np.arange(len(names))

    def draw(axes: "Axes") -> None:
        left = np.zeros(len(names))
        for number, name in enumerate(ERROR_TYPES):
            axes.barh(places, fractions[:, number], 0.72, left, color=TYPE_COLORS[name], label=name)
            left += fractions[:, number]
        axes.set_yticks(places, list(names))
        axes.set(xlabel="fraction of the labelled keypoints", xlim=(0, 1), ylim=(len(names) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(ERROR_TYPES), columnspacing=1.0)

    overall = counts.sum(axis=0) / max(1, int(counts.sum()))
    alternative = "Error types by keypoint. Of all labelled keypoints: " + ", ".join(
        f"{name} {fraction:.0%}" for name, fraction in zip(ERROR_TYPES, overall.tolist(), strict=True)
    )
    return _svg("errors", draw, alternative, height=1.2 + 0.22 * len(names))


def plot_reliability(found: Reliability, kind: str) -> Html:
    """Plot how often keypoints are right, over what their scores promise.

    Args:
        found: of all keypoints.
        kind: what the scores are called.
    """
    sizes = 4 + 11 * np.sqrt(found.counts / max(1, int(found.counts.max())))

    def draw(axes: "Axes") -> None:
        axes.plot((0, 1), (0, 1), "--", color=MUTED, linewidth=1.2)
        axes.plot(found.promised, found.observed, color=ACCENT, alpha=0.5)
        for promised, observed, size in zip(found.promised, found.observed, sizes.tolist(), strict=True):
            axes.plot([promised], [observed], "o", color=ACCENT, markersize=size)
        axes.set(xlabel=f"{kind}, mean of its tenth", ylabel="fraction that is right", xlim=(0, 1), ylim=(0, 1.02))

    filled = found.counts > 0
    pairs = zip(found.promised[filled].tolist(), found.observed[filled].tolist(), strict=True)
    alternative = f"Fraction of right keypoints over the {kind}: " + ", ".join(
        f"{observed:.2f} at {promised:.2f}" for promised, observed in pairs
    )
    return _svg(kind.replace(" ", "-"), draw, alternative)


def plot_pck(steps: Floats, curve: Sequence[PckMetrics], names: Sequence[str]) -> Html:
    """Plot PCK over the threshold: of all keypoints, the range of the single ones, the best and the worst by name."""
    overall = np.array([one.overall for one in curve])
    single = np.array([one.per_keypoint for one in curve])
    known = np.flatnonzero(curve[-1].counted)
    means = single[:, known].mean(axis=0)
    best, worst = int(known[means.argmax()]), int(known[means.argmin()])

    def draw(axes: "Axes") -> None:
        axes.fill_between(
            steps, single[:, known].min(axis=1), single[:, known].max(axis=1), color=ACCENT, alpha=0.15, linewidth=0
        )
        axes.plot(steps, single[:, best], ":", color=ACCENT, label=names[best])
        axes.plot(steps, overall, color=INK, label="all keypoints")
        axes.plot(steps, single[:, worst], "--", color=SECOND, label=names[worst])
        axes.set(xlabel="distance, as a fraction of the box's longer side", ylabel="PCK", xlim=(0, steps[-1]))
        axes.set(ylim=(0, 1.02))
        axes.legend(loc="lower right")

    alternative = "PCK of all keypoints: " + ", ".join(
        f"{overall[index]:.3f} at {steps[index]:.2f}" for index in range(10, len(steps), 10)
    )
    return _svg("pck", draw, alternative)


def _svg(name: str, draw: Callable[["Axes"], None], alternative: str, *, height: float = 3.4) -> Html:
    """Draw into fresh axes and return the SVG, to stand in the page beside others."""
    from matplotlib import rc_context  # noqa: PLC0415 - an extra, and slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    written = io.StringIO()
    style: dict[Any, Any] = {**_STYLE, "svg.hashsalt": name}  # matplotlib's own type lists every key that there is
    with rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # the page's font may well have it
        canvas = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(canvas.add_subplot())
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas.savefig(written, format="svg", transparent=True, metadata=nothing)
    drawing = re.search(r"<svg.*</svg>", written.getvalue(), re.DOTALL)
    text = drawing.group() if drawing else ""
    text = re.sub(r'<svg[^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1>", text, count=1)
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", text, count=1, flags=re.DOTALL)  # it would style the whole page
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    for mark in (' id="', "url(#", 'xlink:href="#'):
        text = text.replace(mark, f"{mark}{name}-")
    text = text.replace("xlink:href", "href")
    return element("div", Html(text), class_="plot", role="img", aria_label=alternative)
