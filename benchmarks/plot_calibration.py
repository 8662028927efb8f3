"""Draw the reliability diagrams of benchmarks/calibration.json.

    python benchmarks/plot_calibration.py --json benchmarks/calibration.json --out docs/assets/reliability.svg

Needs matplotlib.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

STYLES = {"peak": ("#999999", "s", "height of the peak"), "probability": ("#0072b2", "o", "probability")}
LARGEST = 300  # points squared, the area of the mark of a bin with every keypoint


def main() -> None:
    """Draw one pair of axes per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.svg")
    options = parser.parse_args()
    mpl.rcParams.update({"svg.hashsalt": "pcrpose", "font.size": 10})  # the same file from the same numbers
    models = json.loads(options.json.read_text(encoding="utf-8"))["models"]
    figure, axes = plt.subplots(1, len(models), figsize=(4.2 * len(models), 4.2), squeeze=False, sharey=True)
    for place, (name, measured) in zip(axes[0], models.items(), strict=True):
        draw(place, name, measured["passes"]["mirrored"])
    axes[0][0].set_ylabel("how many are right")
    figure.tight_layout()
    figure.savefig(options.out, metadata={"Date": None})


def draw(axes: Any, name: str, found: dict[str, Any]) -> None:  # noqa: ANN401 - matplotlib's own types are loose
    """Draw the diagrams of the peak and of the probability."""
    axes.plot([0, 1], [0, 1], "--", color="#444444", linewidth=1)
    for which, (color, marker, label) in STYLES.items():
        bins = found[which]["bins"]
        areas = [LARGEST * count / found["keypoints"] + 12 for count in bins["counts"]]
        error = found[which]["calibration_error"]
        axes.plot(bins["promised"], bins["observed"], color=color, linewidth=1)
        axes.scatter(
            bins["promised"], bins["observed"], areas, color=color, marker=marker, label=f"{label}, error {error:.3f}"
        )
    axes.set(title=name, xlabel="what is promised", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
