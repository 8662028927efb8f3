"""Print the networks of table 3 side by side: switches, parameters, work, and the paper's accuracy.

    python benchmarks/table_3.py

Nothing is trained or computed: the networks are built without storage and counted at 256x192.
"""

from pcrpose.models.flops import measure_cost
from pcrpose.models.paper_tables import TABLE_3
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.publishing.reproduce import rows_of

# The paper's own metrics on COCO minival; ours stand in the last column as soon as somebody has run the training.
PAPER_AP = {name: row.published["AP"] for name, row in zip(TABLE_3, rows_of(3), strict=True)}


def main() -> None:
    """Print one line a row."""
    print("| network | SE | HDC | AD | parameters (M) | GMACs | AP, paper | AP, measured |")
    print("|---|---|---|---|---:|---:|---:|---|")
    for name, config in TABLE_3.items():
        cost = measure_cost(config)
        cells = (name, *switches(config), f"{cost.parameters / 1e6:.2f}", f"{cost.gmacs:.2f}", f"{PAPER_AP[name]}")
        print("|", " | ".join(cells), "| not yet run |")


def switches(config: PoseConfig) -> tuple[str, str, str]:
    """Mark the parts of the paper's module that a network has."""
    if not isinstance(config, PCRConfig):
        return "", "", ""
    se, hdc, auxiliary = ("x" if part else "" for part in (config.se, config.hdc, config.auxiliary))
    return se, hdc, auxiliary


if __name__ == "__main__":
    main()
