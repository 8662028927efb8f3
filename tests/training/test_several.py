"""Several processes train as one would: the same gradients, the same figures, one of them writing."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.models.pcr import PCR

PROGRAM = Path(__file__).with_name("tiny_run.py")
LAUNCH = "accelerate.commands.launch"


def launch(command: str, folder: Path, count: int) -> None:
    """Run the tiny program in so many processes, one alone without a launcher."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    several = f"-m {LAUNCH} --multi_gpu --num_machines=1 --mixed_precision=no --dynamo_backend=no".split()
    several += [f"--num_processes={count}", f"--main_process_port={port}"]
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *(several if count > 1 else []), str(PROGRAM), command, str(folder)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_gradients_are_those_of_one_process(tmp_path: Path, count: int) -> None:
    """To 1e-5 of the largest, under both losses, whole and accumulated, though labels are spread unevenly."""
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    launch("gradients", tmp_path / "one", 1)
    launch("gradients", tmp_path / "many", count)

    for loss in ("cross_entropy", "squared_error"):
        expected = load_file(tmp_path / f"one/{loss}-1-0.safetensors")
        largest = max(float(gradient.abs().max()) for gradient in expected.values())
        others = [tmp_path / f"one/{loss}-2-0.safetensors"]
        others += [tmp_path / f"many/{loss}-{parts}-{rank}.safetensors" for parts in (1, 2) for rank in range(count)]
        for path in others:
            found = load_file(path)
            assert found.keys() == expected.keys()
            assert max(float((found[name] - expected[name]).abs().max()) for name in found) < 1e-5 * largest, path


@pytest.mark.slow
def test_validation_is_that_of_one_process(tmp_path: Path) -> None:
    """Figures are equal, a process may have no image, and what stops one is an error in all."""
    write_synthetic_coco(tmp_path / "data", 5)
    launch("validate", tmp_path, 1)
    alone = json.loads((tmp_path / "report-0.json").read_text())
    launch("validate", tmp_path, 2)
    first, second = (json.loads((tmp_path / f"report-{rank}.json").read_text()) for rank in range(2))

    assert alone["metrics"]["num_poses"] == len(alone["rows"]) == 5
    assert 0 < alone["metrics"]["ap"] < 1
    for report in (first, second):
        assert report["processes"] == 2
        assert report["metrics"] == pytest.approx(alone["metrics"], abs=1e-4)
        assert report["one"] == alone["one"] == 1
        assert [row["image_id"] for row in report["rows"]] == [row["image_id"] for row in alone["rows"]]
        for found, expected in zip(report["rows"], alone["rows"], strict=True):
            assert found["keypoints"] == pytest.approx(expected["keypoints"], abs=1e-3)
    assert first["error"] == "ProcessError: process 1 stopped: ValueError: no such image"
    assert second["error"] == "ValueError: no such image"


@pytest.mark.slow
def test_one_of_two_processes_writes(tmp_path: Path) -> None:
    """The folder is that of a run of one process, each step logged once, and the model loads."""
    launch("train", tmp_path, 2)

    names = {path.name for path in tmp_path.iterdir()}
    assert names - {".lock"} == {"best", "final", "last", "log.jsonl", "train_config.json"}
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, 9))
    assert all(tensor.isfinite().all() for tensor in PCR.from_pretrained(tmp_path / "final").state_dict().values())
