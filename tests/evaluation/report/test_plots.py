"""Plots as SVG that stands in a page beside others and takes its colors from it."""

import re

import numpy as np

from pcrpose.evaluation.error_types import ERROR_TYPES
from pcrpose.evaluation.reliability import reliability
from pcrpose.evaluation.report.plots import plot_errors, plot_reliability

FOUND = reliability(np.linspace(0, 1, 40), np.arange(40) % 3 > 0)


def test_colors_are_the_page_s() -> None:
    """No color is fixed: each is a variable of the style sheet, so that a dark page has light lines."""
    drawn = plot_errors(np.ones((2, 5), dtype=np.intp), ["a", "b"])

    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) == set()
    variables = set(re.findall(r"var\(--(\w+)\)", drawn))
    assert variables >= {*ERROR_TYPES, "ink", "line"}


def test_nothing_leaves_the_plot() -> None:
    """No style for the whole page, no link out, and names of its own for what it refers to."""
    drawn = plot_reliability(FOUND, "keypoint score")
    names = re.findall(r'\bid="([^"]*)"', drawn)

    assert "<style" not in drawn
    assert "http" not in drawn
    assert all(name.startswith("keypoint-score-") for name in names)
    assert set(re.findall(r'(?:url\(|href=")#([^)"]*)', drawn)) <= set(names)
    assert 'aria-label="Fraction of right keypoints over the keypoint score: 0.' in drawn


def test_letters_are_text() -> None:
    """Names are escaped text, a dollar is no formula, and a letter that the plot's own font lacks is no warning."""
    drawn = plot_errors(np.ones((3, 5), dtype=np.intp), ["<b>", "$x$", "\N{CJK UNIFIED IDEOGRAPH-624B}"])

    assert [name for name in ("&lt;b&gt;", "$x$", "\N{CJK UNIFIED IDEOGRAPH-624B}") if f">{name}</text>" in drawn] == [
        *("&lt;b&gt;", "$x$", "\N{CJK UNIFIED IDEOGRAPH-624B}")
    ]


def test_plots_repeat() -> None:
    """Equal values make an equal drawing: no date, nothing random."""
    assert plot_reliability(FOUND, "score") == plot_reliability(FOUND, "score")
