"""What every form of ``pcrpose train`` needs: model and schedule beforehand, what to say afterwards."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pcrpose.cli.training import (
    choose_cache,
    loss_for,
    prepare_config,
    prepare_model,
    refuse_other_length,
    say_result,
    steps_done,
)
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.synthetic import write_coco
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.training.engine.distributed import Processes

FACE = Skeleton("face", ["chin", "right_eye", "left_eye"], [(2, 1)], [], [0.04] * 3)
CONFIG = PCRConfig(
    encoder="resnet_nano", channels=(16, 16, 16), se_norm="none", input_size=Size(width=64, height=96), skeleton=FACE
)


def test_a_models_own_skeleton_is_kept() -> None:
    """The same names from a file that says no more leave the model's sigmas; a skeleton that is given does not."""
    from_file = Skeleton("face", FACE.keypoints, [(1, 2)], [], [0.07] * 3)
    model = PCR(CONFIG)

    assert prepare_model(model, from_file) is model
    assert prepare_model(model, from_file, size=CONFIG.input_size) is model
    assert prepare_model(model, from_file, keep=False).config.skeleton == from_file
    smaller = Size(width=32, height=64)
    assert prepare_model(model, from_file, size=smaller).config == replace(CONFIG, input_size=smaller)
    assert prepare_config(CONFIG, from_file, size=smaller) == replace(CONFIG, input_size=smaller)


def test_the_loss_of_heatmaps() -> None:
    """Each kind has one."""
    assert loss_for(CONFIG) == "squared_error"
    assert loss_for(replace(CONFIG, heatmaps="probability")) == "cross_entropy"


def test_small_data_is_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images with persons count, those of all parts together."""
    path = write_coco(tmp_path, 3, size=Size(width=100, height=50))
    content = json.loads(path.read_text())
    content["annotations"].pop()
    data = read_coco(content, tmp_path)
    monkeypatch.setattr("pcrpose.cli.training.CACHED_BYTES", 3 * 2 * 100 * 50)

    assert choose_cache([data], reduce_jpegs=False) == "decoded"
    assert choose_cache([data, data], reduce_jpegs=False) == "none"
    assert choose_cache([data], reduce_jpegs=True) == "reduced"


def stopped(folder: Path, *, step: int, epochs: int, best: float | None = None) -> None:
    """Leave what a training leaves that a test here looks at."""
    (folder / "last").mkdir(parents=True)
    (folder / "last/progress.json").write_text(json.dumps({"step": step, "best": best}))
    (folder / "train_config.json").write_text(json.dumps({"epochs": epochs}))


def test_another_length_is_refused(tmp_path: Path) -> None:
    """With what to do instead: the final model, or the last one of a run that was stopped, or what is named."""
    refuse_other_length(tmp_path / "none", 5)
    assert steps_done(tmp_path / "none") == 0
    run = tmp_path / "run"
    stopped(run, step=7, epochs=3)

    refuse_other_length(run, 3)
    assert steps_done(run) == 7
    with pytest.raises(ValueError, match=r"run: holds a training of 3 epochs, found 5; .* --start \S*run/last --out"):
        refuse_other_length(run, 5)
    (run / "final").mkdir()
    with pytest.raises(ValueError, match=r"Ask for 3 to go on .* --start \S*run/final --out"):
        refuse_other_length(run, 2)
    with pytest.raises(ValueError, match=r" --start other --out"):
        refuse_other_length(run, 2, newest=Path("other"))


def test_what_is_said_in_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The best model where one was measured now, and what to do with a training that was finished before."""
    stopped(tmp_path, step=7, epochs=3, best=0.25)
    say_result(tmp_path, finished=None, val=None)
    assert capsys.readouterr().out.startswith(f"the model is in {tmp_path / 'final'}\n  pcrpose predict")

    say_result(tmp_path, finished=None, val=Path("val.json"))
    assert f"the model is in {tmp_path / 'final'}\n" in capsys.readouterr().out
    (tmp_path / "best").mkdir()
    say_result(tmp_path, finished="3 of 3 epochs", val=Path("val.json"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "this training is finished: 3 of 3 epochs; nothing was left to do",
        "best AP 0.250 on val.json, annotated boxes, no mirroring",
        f"the model is in {tmp_path / 'best'}",
    ]
    assert lines[-1] == f"to train it further, begin another run from it: --start {tmp_path / 'final'} --out ANOTHER"


def test_one_process_of_several_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are silent."""
    for rank in (1, 0):
        monkeypatch.setattr(Processes, "current", lambda rank=rank: Processes(rank, 2))
        say_result(tmp_path, finished=None, val=None)
        assert bool(capsys.readouterr().out) == (rank == 0)
