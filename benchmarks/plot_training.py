"""Draw how AP rose while the shipped models were trained, from the committed logs: docs/assets/zoo_training.svg.

python benchmarks/plot_training.py
"""

import json
from dataclasses import dataclass
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent
LOGS = ("pcr_small_training.json", "pcr_nano_training.json")
DRAWING = BENCHMARKS.parent / "docs" / "assets" / "zoo_training.svg"
COLORS = ("#1b6ca8", "#c44e52", "#2a8c55", "#8172b2", "#b8860b", "#555555", "#17a2b8", "#d67aa8")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 400, 56, 190, 20, 46
AP_TICKS, CROP_TICKS = 0.05, 20


@dataclass(frozen=True, kw_only=True)
class Curve:
    """AP of one run against the thousands of crops that the chain has seen until then."""

    name: str
    points: tuple[tuple[float, float], ...]


def main() -> None:
    """Read the logs, write the drawing."""
    curves = [curve for name in LOGS for curve in read_log(BENCHMARKS / name)]
    DRAWING.write_text(draw(curves), encoding="utf-8")
    print(f"wrote {DRAWING.name}: {len(curves)} curves")


def read_log(file: Path) -> list[Curve]:
    """Read the runs of one chain; each begins where the run it came after ended."""
    ends: dict[str | None, float] = {}
    curves = []
    for run in json.loads(file.read_text(encoding="utf-8"))["runs"]:
        before, batch = ends.get(run.get("after"), 0.0), run["config"]["batch_size"] / 1000
        points = tuple((before + row["step"] * batch, row["validation"]) for row in run["rows"] if "validation" in row)
        ends[run["run"]] = points[-1][0]
        curves.append(Curve(name=run["run"], points=points))
    return curves


def draw(curves: list[Curve]) -> str:
    """Write all curves over one pair of axes as SVG."""
    every = [point for curve in curves for point in curve.points]
    last, low = max(x for x, _ in every), min(y for _, y in every) // AP_TICKS * AP_TICKS
    high = (max(y for _, y in every) // AP_TICKS + 1) * AP_TICKS

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = x / last, (y - low) / (high - low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for tick in range(round((high - low) / AP_TICKS) + 1):
        value = low + tick * AP_TICKS
        (x, y), (end, _) = place(0, value), place(last, value)
        parts.append(line([(x, y), (end, y)], "#dddddd", 1) + text(x - 8, y + 4, f"{value:.2f}", "end"))
    for value in range(0, int(last) + 1, CROP_TICKS):
        x, y = place(value, low)
        parts.append(line([(x, y), (x, y + 5)], "#888888", 1) + text(x, y + 20, str(value), "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "crops seen, thousands", "middle"))
    for row, curve in enumerate(curves):
        color, points = COLORS[row % len(COLORS)], [place(*point) for point in curve.points]
        parts.append(line(points, color, 2))
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points]
        parts.append(
            text(WIDTH - RIGHT + 14, TOP + 12 + 20 * row, f"{curve.name} {curve.points[-1][1]:.3f}", color=color)
        )
    body = "\n".join(parts)
    title = "<title>AP on the subset of COCO val2017, annotated boxes, without the mirrored crop</title>"
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
    return f'{opening} font-size="13">\n{title}\n{body}\n</svg>\n'


def line(points: list[tuple[float, float]], color: str, width: float) -> str:
    """Write a polyline."""
    listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{listed}" fill="none" stroke="{color}" stroke-width="{width}"/>'


def text(x: float, y: float, words: str, anchor: str = "start", color: str = "#333333") -> str:
    """Write words."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{words}</text>'


if __name__ == "__main__":
    main()
