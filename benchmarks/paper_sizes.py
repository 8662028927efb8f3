"""Count PCR at the paper's sizes and the systems beside it, and write the tables of ``docs/systems.md``.

    python benchmarks/paper_sizes.py --json benchmarks/paper_sizes.json --page docs/systems.md

Nothing is trained or computed: the networks are built without storage. Published numbers stand beside our own with
their sources.
"""

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pcrpose.keypoints.boxes import Size
from pcrpose.models.cpn import CascadedPyramidConfig
from pcrpose.models.deeppose import DeepPoseConfig
from pcrpose.models.flops import measure_cost, measure_encoder
from pcrpose.models.hourglass import StackedHourglassConfig
from pcrpose.models.mspn import MultiStagePoseConfig
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.pose_config import PoseConfig

SIZES = (Size(width=192, height=256), Size(width=288, height=384))
ENCODERS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "PCR (R50)": ("resnet50", (256, 256, 256)),
    "PCR (R152)": ("resnet152", (128, 96, 64)),
    "PCR (HRNet-W32)": ("hrnet_w32", (48,)),
    "PCR (HRNet-W48)": ("hrnet_w48", (48,)),
}
MMPOSE = "mmpose 0.x, `inference_speed_summary.md`"
CPN_PAPER = "CPN, table 3"
MSPN_PAPER = "MSPN, table of stages"
HRNET_PAPER = "HRNet, table 1"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published count: parameters in millions, multiply-accumulates in thousand millions, where either is given."""

    source: str
    parameters: float | None = None
    gmacs: float | None = None


@dataclass(frozen=True, kw_only=True)
class System:
    """A system beside the paper's, and what is published of its size."""

    name: str
    config: PoseConfig
    published: tuple[Published, ...]


def mspn(stages: int, parameters: float, mmpose: float, paper: float) -> System:
    """Describe MSPN on ResNet-50's blocks."""
    counts = (Published(source=MMPOSE, parameters=parameters, gmacs=mmpose), Published(source=MSPN_PAPER, gmacs=paper))
    plural = "stage" if stages == 1 else "stages"
    return System(name=f"MSPN-50, {stages} {plural}", config=MultiStagePoseConfig(num_stages=stages), published=counts)


def hourglass(stacks: int, *published: Published) -> System:
    """Describe stacked hourglasses."""
    plural = "hourglass" if stacks == 1 else "stacked hourglasses"
    return System(name=f"{stacks} {plural}", config=StackedHourglassConfig(num_stacks=stacks), published=published)


def deeppose(name: str, encoder: str, parameters: float, gmacs: float) -> System:
    """Describe DeepPose's first stage."""
    counts = (Published(source=MMPOSE, parameters=parameters, gmacs=gmacs),)
    return System(name=f"DeepPose ({name})", config=DeepPoseConfig(encoder=encoder), published=counts)


SYSTEMS = (
    mspn(1, 25.11, 5.11, 4.4),
    mspn(2, 56.80, 11.35, 9.6),
    mspn(3, 88.49, 17.59, 14.7),
    mspn(4, 120.18, 23.82, 19.9),
    System(
        name="CPN (R50)",
        config=CascadedPyramidConfig(),
        published=(
            Published(source=HRNET_PAPER, parameters=27.0, gmacs=6.20),
            Published(source=CPN_PAPER, gmacs=6.20),
        ),
    ),
    hourglass(1, Published(source=CPN_PAPER, gmacs=3.92)),
    hourglass(2, Published(source=CPN_PAPER, gmacs=6.14)),
    hourglass(
        8,
        Published(source=HRNET_PAPER, parameters=25.1, gmacs=14.3),
        Published(source=CPN_PAPER, gmacs=19.48),
    ),
    deeppose("R50", "resnet50", 23.58, 4.04),
    deeppose("R152", "resnet152", 58.21, 11.34),
)


def pcr_configs() -> dict[str, PCRConfig]:
    """Return PCR at the paper's sizes, by name: encoder, input size and number of decoders."""
    return {
        f"{name}, {size}, L = {decoders}": PCRConfig(
            encoder=encoder,
            channels=channels,
            num_decoders=decoders,
            input_size=size,
            sigma=8.0 if size == SIZES[0] else 12.0,
        )
        for name, (encoder, channels) in ENCODERS.items()
        for size in SIZES
        for decoders in (1, 2)
    }


def measure_pcr(config: PCRConfig) -> dict[str, Any]:
    """Count a network, its decoders, and the decoders that plain (transposed) convolutions of the same widths make."""
    plain = replace(config, se=False, hdc=False, residual=False, auxiliary=False)
    encoder = measure_encoder(config.encoder, config.input_size)
    found: dict[str, Any] = {}
    for name, network in (("modules", config), ("plain", plain)):
        cost = measure_cost(network)
        found[name] = {"parameters": cost.parameters - encoder.parameters, "gmacs": cost.gmacs - encoder.gmacs}
    whole = measure_cost(config)
    return {"parameters": whole.parameters, "gmacs": whole.gmacs, **found}


def measure_system(config: PoseConfig) -> dict[str, Any]:
    """Count a network."""
    return dict(measure_cost(config)._asdict())


def measure() -> dict[str, Any]:
    """Count everything."""
    return {
        "pcr": {name: measure_pcr(config) for name, config in pcr_configs().items()},
        "systems": {system.name: measure_system(system.config) for system in SYSTEMS},
    }


def pcr_table(counts: Mapping[str, Any]) -> str:
    """Write PCR's table; the decoders are compared in parameters and work."""
    lines = [
        "| network | input | L | parameters (M) | GMACs | its decoders: M, GMACs | plain decoders: M, GMACs |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, cost in counts.items():
        network, size, levels = name.rsplit(", ", 2)
        parts = [f"{_millions(cost[part])}, {cost[part]['gmacs']:.2f}" for part in ("modules", "plain")]
        cells = (network, size, levels.removeprefix("L = "), _millions(cost), f"{cost['gmacs']:.2f}", *parts)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def system_table(counts: Mapping[str, Any]) -> str:
    """Write the systems' table, one line per published count."""
    lines = [
        "| system | parameters (M) | GMACs | published parameters (M) | published GMACs | source |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for system in SYSTEMS:
        own = (system.name, _millions(counts[system.name]), f"{counts[system.name]['gmacs']:.2f}")
        for published in system.published:
            theirs = ("" if value is None else f"{value:g}" for value in (published.parameters, published.gmacs))
            lines.append(f"| {' | '.join((*own, *theirs, published.source))} |")
            own = ("", "", "")
    return "\n".join(lines) + "\n"


def _millions(cost: Mapping[str, Any]) -> str:
    return f"{cost['parameters'] / 1e6:.2f}"


def filled(page: str, counts: Mapping[str, Any]) -> str:
    """Return a page with its tables written anew, between their marks."""
    for mark, table in (("pcr", pcr_table(counts["pcr"])), ("systems", system_table(counts["systems"]))):
        marked = re.compile(rf"(?<=<!-- {mark} -->\n).*?(?=<!-- /{mark} -->\n)", re.DOTALL)
        page = marked.sub(table, page)  # a table holds no backslash
    return page


def main() -> None:
    """Count, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="where the counts are written")
    parser.add_argument("--page", type=Path, help="whose tables are written anew")
    options = parser.parse_args()
    counts = measure()
    options.json.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    if options.page is not None:
        options.page.write_text(filled(options.page.read_text(encoding="utf-8"), counts), encoding="utf-8")


if __name__ == "__main__":
    main()
