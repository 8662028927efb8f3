"""The table of the paper's rows: published metrics, trainings, and the estimate of GPU hours."""

import pytest
import torch

from pcrpose.models.flops import measure_cost
from pcrpose.models.load import build_model
from pcrpose.publishing.reproduce import IMAGENET, ROWS, TableRow, Training, find_row, in_words, rows_of

# Typed from the paper's pages.
TABLE_1 = {
    "Baseline (R152)": (73.7, 91.9, 81.1, 70.3, 80.0, 79.0),
    "Baseline+* (R152)": (76.5, 92.4, 84.0, 73.0, 82.7, 81.5),
    "HRNet-W48": (75.5, 92.5, 83.3, 71.9, 81.5, 80.5),
    "HRNet-W48*": (77.0, 92.7, 84.5, 73.4, 83.1, 82.0),
    "Megvii+*": (78.1, 94.1, 85.9, 74.5, 83.3, 83.1),
    "PCR (R152)": (75.6, 92.6, 83.3, 71.8, 81.1, 80.7),
    "PCR* (R152)": (77.1, 93.0, 84.7, 73.2, 82.7, 82.1),
    "PCR* (HRNet-48)": (77.9, 93.5, 85.0, 73.9, 83.5, 82.9),
    "PCR+* (R152, HRNet-48)": (78.9, 93.8, 86.0, 75.0, 84.5, 83.6),
}
TABLE_3 = {
    "Baseline": (70.4, 76.3),
    "HRNet-W32": (74.4, 79.8),
    "PCR (R50), SE": (72.8, 78.7),
    "PCR (R50), HDC": (72.6, 78.5),
    "PCR (R50), AD": (73.0, 78.7),
    "PCR (R50), SE + HDC + AD": (73.8, 79.3),
    "PCR (HRNet-W32), SE + HDC + AD": (75.8, 81.1),
}
TABLE_4 = {
    "PCR (R50), A->C": (74.8, 80.1),
    "PCR (R50), AC->C": (75.0, 80.4),
    "PCR (R50), ACH->CH": (75.3, 80.4),
    "PCR (R50), ACHU->CH": (75.6, 80.7),
}
# Millions of parameters, as the papers of Simple Baselines and HRNet print them.
PUBLISHED_SIZES = {"baseline-r50": 34.0, "baseline-r152": 68.6, "hrnet-w32": 28.5, "hrnet-w48": 63.6}
TRAININGS = {training.name: training for row in ROWS.values() for training in row.trainings}


@pytest.mark.parametrize(("table", "expected"), [(1, TABLE_1), (3, TABLE_3), (4, TABLE_4)])
def test_every_row_has_the_papers_metrics(table: int, expected: dict[str, tuple[float, ...]]) -> None:
    """In the paper's order."""
    found = [(row.label, tuple(row.published.values())) for row in rows_of(table)]

    assert list(expected.items()) == found


def test_illegible_metrics_are_missing() -> None:
    """Three of table 2 cannot be read in our copy, and nothing stands in their place."""
    test_dev, challenge = rows_of(2)

    assert test_dev.published == {"AP50": 93.8, "AP75": 86.0, "APL": 84.5}
    assert tuple(challenge.published.values()) == (75.5, 92.3, 82.1, 69.9, 82.8, 81.1)
    assert test_dev.trainings == challenge.trainings == ROWS["table1/pcr-plus-external"].trainings


def test_nothing_is_called_measured() -> None:
    """No row has been run."""
    assert [row.name for row in ROWS.values() if row.measured is not None] == []
    assert in_words(None) == "not yet run"


@pytest.mark.parametrize("name", TRAININGS)
def test_networks_have_their_size(name: str) -> None:
    """Each row's own configuration builds, with the parameters that the table and, where there is one, a paper say."""
    training = TRAININGS[name]
    with torch.device("meta"):
        found = sum(parameter.numel() for parameter in build_model(training.model).parameters())

    assert training.parameters == found
    network = next((known for known in PUBLISHED_SIZES if name == known), None)
    if network is not None:
        assert PUBLISHED_SIZES[network] == round(found / 1e6, 1)


@pytest.mark.slow  # counts the work of twelve networks; test_paper_tables.py counts some of it
@pytest.mark.parametrize("name", TRAININGS)
def test_networks_have_their_work(name: str) -> None:
    """The estimate of GPU hours starts from the true number of multiply-accumulates."""
    assert TRAININGS[name].gmacs == pytest.approx(measure_cost(TRAININGS[name].model).gmacs, abs=1e-4)


def test_trainings_of_one_name_are_one() -> None:
    """Rows share the folder of a training, so it has to be the same in all of them."""
    for row in ROWS.values():
        for training in row.trainings:
            assert TRAININGS[training.name] == training


def test_every_encoder_has_weights() -> None:
    """Those that the cited baselines started from."""
    assert {training.encoder for training in TRAININGS.values()} == set(IMAGENET)


def test_schedules_are_the_cited_ones() -> None:
    """Simple Baselines: 140 epochs, divided at 90 and 120, no half bodies; HRNet: 210, 170, 200; 4 x 32 or 4 x 24."""
    baseline, rival = TRAININGS["baseline-r50"], TRAININGS["pcr-w48-achu-ch"]

    assert [round(140 * milestone) for milestone in baseline.config.milestones] == [90, 120]
    assert (baseline.config.epochs, baseline.config.batch_size, baseline.config.learning_rate) == (140, 128, 1e-3)
    assert (baseline.augmentation.rotation, baseline.augmentation.scale) == (40.0, 0.3)
    assert baseline.augmentation.half_body_probability == 0
    assert [round(210 * milestone) for milestone in rival.config.milestones] == [170, 200]
    assert (rival.config.epochs, rival.config.batch_size) == (210, 96)
    assert rival.augmentation.half_body_probability == 0.3


def test_hours_are_in_proportion_to_the_known_ones() -> None:
    """HRNet-W32 takes what its author tells; others, with one stage and with two, are worked out by hand."""
    one, two = ROWS["table3/pcr-r50"], ROWS["table4/achu-ch"]
    first, second = two.trainings[0].recipe.stages

    assert ROWS["table3/hrnet-w32"].gpu_hours == pytest.approx(220)
    assert one.gpu_hours == pytest.approx(220 * 5.9551 / 7.645)
    assert two.trainings[0].crops(first) == 210 * (700_000 + 87_500)
    assert two.trainings[0].crops(second) == 20 * (150_000 + 18_750)
    assert two.gpu_hours == pytest.approx(one.gpu_hours * (165_375_000 + 3_375_000) / 31_500_000)


def test_an_ensemble_costs_all_of_its_members() -> None:
    """PCR+ is two trainings."""
    row = ROWS["table1/pcr-plus-external"]

    assert row.letters == ("A", "C", "H", "U")
    assert row.gpu_hours == sum(training.gpu_hours for training in row.trainings)
    assert [training.name for training in row.trainings] == ["pcr-r152-achu-ch", "pcr-w48-achu-ch"]


def test_a_row_is_found_by_name() -> None:
    """A misspelt one is answered with the nearest names."""
    assert find_row("table4/a-c").published["AP"] == 74.8
    with pytest.raises(ValueError, match=r"table3/pcr_r50: expected a row .*did you mean table3/pcr-r50 or"):
        find_row("table3/pcr_r50")
    with pytest.raises(ValueError, match=r"^ac-c: .*did you mean table4/ac-c\?"):
        find_row("ac-c")
    with pytest.raises(ValueError, match='"pcrpose reproduce" lists them'):
        find_row("?")


def test_rows_without_networks_say_why() -> None:
    """Two rivals' ensembles are not described."""
    rows: list[TableRow] = [row for row in ROWS.values() if not row.trainings]

    assert [row.label for row in rows] == ["Baseline+* (R152)", "Megvii+*"]
    assert all(row.note for row in rows)
    assert all(isinstance(training, Training) for training in TRAININGS.values())
