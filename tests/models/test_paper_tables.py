"""The paper's tables: table 3's seven networks, how big each is, and the printed table."""

import functools
import itertools
import runpy
from pathlib import Path

import pytest

from pcrpose.keypoints.boxes import Size
from pcrpose.models import flops
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.paper_tables import PCR_PLUS, TABLE_1, TABLE_3
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.simple_baseline import SimpleBaselineConfig

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "table_3.py"
RESNET_50, HRNET_W32 = 23_508_032, 28_536_113 - (32 * 17 + 17)  # the published networks less classifier or head
cost_of = functools.cache(flops.measure_cost)
R50_ROWS = [name for name in TABLE_3 if "R50" in name]


def module_parameters(width_in: int, width: int, config: PCRConfig, *, kernel: int) -> int:
    """Count one context-aware module by hand: kernels, and two values per channel for every batch norm."""
    inner = width // 4
    se = width_in * inner + 2 * inner + inner * width + 2 * width
    dilated = 4 * (9 * width_in * inner + 2 * inner)
    residual = width_in * width + 2 * width
    join = kernel**2 * (width if config.hdc else width_in) * width + 2 * width
    return config.se * se + config.hdc * dilated + config.residual * residual + join


def expected_parameters(config: PCRConfig, encoder: int, encoder_width: int, *, kernel: int) -> int:
    """Count a one-level PCR by hand."""
    widths = (encoder_width, *config.channels)
    modules = sum(module_parameters(a, b, config, kernel=kernel) for a, b in itertools.pairwise(widths))
    return encoder + modules + (widths[-1] + 1) * 17 + config.auxiliary * (widths[-2] + 1) * 17


def test_the_rows_are_the_papers() -> None:
    """Five ResNet-50 rows and two HRNet-W32 rows: K = 3 and 1, L = 1, 256x192, each switch alone and all together."""
    assert len(R50_ROWS) == 5
    assert len(TABLE_3) == 7
    for config in TABLE_3.values():
        assert config.input_size == Size(width=192, height=256)
    assert TABLE_3["Baseline (R50)"] == SimpleBaselineConfig(encoder="resnet50", channels=(256, 256, 256))
    assert TABLE_3["HRNet-W32"] == HighResolutionPoseConfig(encoder="hrnet_w32")
    ours = {name: config for name, config in TABLE_3.items() if isinstance(config, PCRConfig)}
    assert {name: (config.se, config.hdc, config.auxiliary) for name, config in ours.items()} == {
        "PCR (R50), SE": (True, False, False),
        "PCR (R50), HDC": (False, True, False),
        "PCR (R50), AD": (False, False, True),
        "PCR (R50), SE + HDC + AD": (True, True, True),
        "PCR (HRNet-W32), SE + HDC + AD": (True, True, True),
    }
    for name, config in ours.items():
        residual_network = "R50" in name
        assert config.encoder == ("resnet50" if residual_network else "hrnet_w32")
        assert config.channels == ((256, 256, 256) if residual_network else (48,))
        assert (config.num_decoders, config.residual, config.se_norm) == (1, True, "batch")


def test_published_networks_have_their_published_size() -> None:
    """Simple Baselines on ResNet-50 and HRNet-W32, counted in the reference code; their work to two digits."""
    baseline, rival = cost_of(TABLE_3["Baseline (R50)"]), cost_of(TABLE_3["HRNet-W32"])
    assert (baseline.parameters, rival.parameters) == (33_999_697, 28_536_113)
    assert baseline.gmacs == pytest.approx(5.43, abs=0.005)
    assert rival.gmacs == pytest.approx(7.65, abs=0.005)


@pytest.mark.parametrize("name", [name for name, config in TABLE_3.items() if isinstance(config, PCRConfig)])
def test_our_rows_have_the_size_worked_out_by_hand(name: str) -> None:
    """Encoder, modules and heads add up, for every combination of switches."""
    config = TABLE_3[name]
    assert isinstance(config, PCRConfig)
    encoder, width, kernel = (RESNET_50, 2048, 4) if "R50" in name else (HRNET_W32, 32, 3)
    assert cost_of(config).parameters == expected_parameters(config, encoder, width, kernel=kernel)


def test_the_module_costs_little() -> None:
    """The whole of the paper's module on ResNet-50 has fewer parameters than the baseline and a tenth more work."""
    baseline, full = cost_of(TABLE_3["Baseline (R50)"]), cost_of(TABLE_3["PCR (R50), SE + HDC + AD"])
    assert full.parameters < baseline.parameters
    assert 1.05 < full.gmacs / baseline.gmacs < 1.15


def test_the_auxiliary_task_costs_nothing_at_inference() -> None:
    """Its head is trained and then does not run."""
    head = (256 + 1) * 17
    full = TABLE_3["PCR (R50), SE + HDC + AD"]
    assert isinstance(full, PCRConfig)
    without = PCRConfig(auxiliary=False)
    assert cost_of(full).parameters - cost_of(without).parameters == head
    assert cost_of(full).gmacs == cost_of(without).gmacs


def test_table_1_uses_the_large_crops() -> None:
    """384x288 with a sigma of three cells; ResNet-152 with 128, 96, 64 channels, HRNet-W48 with 48, two levels."""
    for config in TABLE_1.values():
        assert config.input_size == Size(width=288, height=384)
        assert config.sigma == 3 * 4
    ours = {name: config for name, config in TABLE_1.items() if isinstance(config, PCRConfig)}
    assert {name: (config.encoder, config.channels, config.num_decoders) for name, config in ours.items()} == {
        "PCR (R152)": ("resnet152", (128, 96, 64), 2),
        "PCR* (R152)": ("resnet152", (128, 96, 64), 2),
        "PCR* (HRNet-W48)": ("hrnet_w48", (48,), 2),
    }
    assert cost_of(TABLE_1["HRNet-W48"]).parameters == 63_595_745
    assert cost_of(TABLE_1["Baseline (R152)"]).parameters == 68_635_473


def test_the_printed_table_holds_every_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The script prints counts beside the paper's numbers, and calls nothing measured that nobody measured."""
    monkeypatch.setattr(flops, "measure_cost", cost_of)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    header, rule, *rows = capsys.readouterr().out.splitlines()
    assert "AP, paper" in header
    assert rule.count("|") == header.count("|")
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(TABLE_3)
    assert all(row.endswith("| not yet run |") and row.count("|") == header.count("|") for row in rows)
    assert "| Baseline (R50) |  |  |  | 34.00 | 5.43 | 70.4 |" in rows[0]
    assert [row.split(" | ")[-2] for row in rows] == ["70.4", "74.4", "72.8", "72.6", "73.0", "73.8", "75.8"]


def test_the_papers_ensemble() -> None:
    """PCR+* stands for ResNet-152 and HRNet-W48 at 384x288, both PCR with two decoders (section 3.2, table 1)."""
    assert [
        (config.encoder, str(config.input_size)) for config in PCR_PLUS.values() if isinstance(config, PCRConfig)
    ] == [
        ("resnet152", "384x288"),
        ("hrnet_w48", "384x288"),
    ]
    assert all(PCR_PLUS[name] is TABLE_1[name] for name in PCR_PLUS)
