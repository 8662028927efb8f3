"""Losses that are not finite are found late but exactly."""

import json
from pathlib import Path

import pytest
import torch

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.training.engine.watch import LossWatch, NotFinite, first_not_finite, write_not_finite


def test_the_first_of_several_steps_is_found() -> None:
    """Looked at together, the earliest step that was not finite is told, and all are forgotten."""
    watch = LossWatch()
    watch.add(1, (4, 5), loss=torch.tensor(1.0), gradient=torch.tensor(2.0))
    watch.add(2, (6, 7), loss=torch.tensor(1.0), gradient=torch.tensor(float("inf")))
    watch.add(3, (8, 9), loss=torch.tensor(float("nan")))

    assert watch.check() == NotFinite(2, "gradient", float("inf"), (6, 7))
    assert watch.check() is None


def test_processes_are_joined() -> None:
    """The earliest step counts, with the samples of every process in which it broke."""
    found = [NotFinite(3, "loss", 0.0, (1,)), None, NotFinite(2, "loss", 0.0, (2,)), NotFinite(2, "loss", 0.0, (3,))]
    assert first_not_finite(found) == NotFinite(2, "loss", 0.0, (2, 3))
    assert first_not_finite([None]) is None


@pytest.mark.parametrize("mixed", [False, True])
def test_samples_are_named(dataset: KeypointDataset, tmp_path: Path, *, mixed: bool) -> None:
    """The file says which samples the step saw, by index, image and annotation."""
    whole = MixedDataset([dataset, dataset]) if mixed else dataset
    index = len(dataset) + 2 if mixed else 2

    write_not_finite(tmp_path / "x.json", NotFinite(7, "loss", float("nan"), (index,)), whole)

    content = json.loads((tmp_path / "x.json").read_text())
    sample = dataset.samples[2]
    assert content["step"] == 7
    assert content["loss"] == "nan"
    assert content["samples"] == [
        {"index": index, "image": None, "image_id": sample.image_id, "annotation_id": sample.annotation_id}
    ]
