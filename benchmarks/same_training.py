"""Bit equality of a short seeded training before and after the redesign.

    python benchmarks/same_training.py --json benchmarks/same_training.json

The last commit before the redesign is checked out into a temporary work tree. There and here the same training runs in
a process of its own: ten steps of a tiny network on drawn people, with Adam and with Muon, with and without an
average, whole and in parts, in float32 and bfloat16. The SHA-256 digests of the final weights have to be equal.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

REPOSITORY = Path(__file__).resolve().parents[1]
BEFORE = "6c4888d"
STEPS = 10

PROGRAM = """
import hashlib, json, sys, tempfile
from pathlib import Path
import torch
from pcrpose import COCO_17, PCR, PCRConfig, Trainer
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.keypoints.boxes import Size
from pcrpose.training.config import TrainConfig
from {source_module} import Source

torch.set_num_threads(1)
size = Size(width=64, height=96)
digests, losses = dict(), dict()
for name, values in json.loads(sys.argv[1]).items():
    torch.manual_seed(1)
    kind = "gaussian" if values["loss"] == "squared_error" else "probability"
    config = PCRConfig(
        encoder="resnet_nano", channels=(16, 16, 16), se_norm="none", input_size=size, sigma=6.0, heatmaps=kind
    )
    people = Source(samples=SyntheticPoses(count=40).samples(), skeleton=COCO_17).crops(config)
    with tempfile.TemporaryDirectory() as folder:
        final = Trainer(PCR(config), people, folder, TrainConfig(**values)).train()
        digests[name] = hashlib.sha256((Path(folder) / "final/model.safetensors").read_bytes()).hexdigest()
        rows = map(json.loads, (Path(folder) / "log.jsonl").read_text().splitlines())
        losses[name] = [row["loss"] for row in rows]
print(json.dumps(dict(digests=digests, losses=losses)))
"""
SHORT: Mapping[str, Any] = {
    "epochs": 2,
    "batch_size": 8,
    "loss": "cross_entropy",
    "schedule": "cosine",
    "warmup_steps": 3,
    "encoder_learning_rate_factor": 0.5,
    "num_workers": 0,
    "checkpoint_every_steps": 4,
    "log_every_steps": 1,
}
RUNS: Mapping[str, Mapping[str, Any]] = {
    "adam": SHORT,
    "muon": {**SHORT, "optimizer": "muon", "learning_rate": 3e-3},
    "adam, averaged, clipped": {**SHORT, "ema_decay": 0.9, "max_grad_norm": 1.0},
    "muon, averaged, in two parts": {
        **SHORT,
        "optimizer": "muon",
        "learning_rate": 3e-3,
        "ema_decay": 0.9,
        "gradient_accumulation_steps": 2,
    },
    "adam, squared error": {**SHORT, "loss": "squared_error"},
    "muon, bf16, frozen statistics": {
        **SHORT,
        "optimizer": "muon",
        "learning_rate": 3e-3,
        "precision": "bf16",
        "freeze_statistics": True,
    },
}
OLD_NAMES: Mapping[str, str] = {
    "encoder_learning_rate_factor": "encoder_rate",
    "checkpoint_every_steps": "checkpoint_every",
    "log_every_steps": "log_every",
    "max_grad_norm": "gradient_clip",
    "gradient_accumulation_steps": "accumulate",
}


def main() -> int:
    """Train in both trees and compare; 1 where a digest differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args()
    old_runs = {
        name: {OLD_NAMES.get(field, field): value for field, value in values.items()} for name, values in RUNS.items()
    }
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "before"
        git("worktree", "add", "--detach", str(tree), BEFORE)
        try:
            before = train(tree, "pcrpose.training.stages", old_runs)
        finally:
            git("worktree", "remove", "--force", str(tree))
    after = train(REPOSITORY, "pcrpose.training.run_recipe", RUNS)
    result: dict[str, Any] = {
        "before": BEFORE,
        "steps": STEPS,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "runs": {
            name: {
                "sha256_before": before["digests"][name],
                "sha256_after": after["digests"][name],
                "equal": before["digests"][name] == after["digests"][name],
                "losses_before": before["losses"][name],
                "losses_after": after["losses"][name],
            }
            for name in RUNS
        },
    }
    for name, run in result["runs"].items():
        sys.stdout.write(f"{name}: {'equal bit for bit' if run['equal'] else 'DIFFERENT'}\n")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if all(run["equal"] for run in result["runs"].values()) else 1


def git(*arguments: str) -> None:
    """Run git in the repository."""
    subprocess.run(["git", "-C", str(REPOSITORY), *arguments], check=True, capture_output=True)  # noqa: S603, S607 - git


def train(tree: Path, source_module: str, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Run all trainings with the code of a source tree."""
    ended = subprocess.run(  # noqa: S603 - the program above
        [sys.executable, "-c", PROGRAM.replace("{source_module}", source_module), json.dumps(runs)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        cwd=tree,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
