"""A tiny training as a program of its own, for tests that kill it or run several processes of it.

python tiny_run.py train FOLDER | kill FOLDER COUNT | gradients FOLDER | validate FOLDER
"""

import json
import logging
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.samples import Sample
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.training import trainer as trainer_module
from pcrpose.training.checkpoint import find_checkpoint, read_progress
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.distributed import ProcessError, Processes, start_accelerator
from pcrpose.training.trainer import Trainer
from pcrpose.training.validation import CocoValidation

CONFIG = PCRConfig(
    encoder="resnet_nano",
    channels=(16, 16, 16),
    se_norm="none",
    input_size=Size(width=64, height=96),
    sigma=6.0,
    heatmaps="probability",
)
SHORT = TrainConfig(
    epochs=4,
    batch_size=8,
    loss="cross_entropy",
    schedule="cosine",
    ema_decay=0.9,
    num_workers=0,
    checkpoint_every_steps=1,
    validate_every_epochs=1,
    log_every_steps=1,
)


def build(folder: Path, config: TrainConfig, *, samples: list[Sample] | None = None, gaussian: bool = False) -> Trainer:
    """Prepare the same training every time."""
    torch.manual_seed(1)
    model = PCR(replace(CONFIG, heatmaps="gaussian") if gaussian else CONFIG)
    people = KeypointDataset(
        samples or SyntheticPoses(count=16).samples(),
        source_skeleton=COCO_17,
        crop=CONFIG.crop_spec,
        augmentation=Augmentation(),
    )
    return Trainer(model, people, folder, config, validate=weight_sum)


def weight_sum(model: nn.Module) -> float:
    """Measure something that differs from step to step and is alike in all processes."""
    return float(sum(parameter.detach().double().sum() for parameter in model.parameters()))


def kill(folder: Path, count: int) -> None:
    """Kill the training at random moments, resume it each time, and compare the end with an undisturbed run's."""
    start_accelerator()  # loaded once, for all children
    status, seconds = attempt(folder / "whole", None)
    assert status == 0
    moments, steps, ended = random.Random(count), list[int](), 0  # noqa: S311 - moments, no secrets
    while len(steps) < count or ended == 0:
        run = folder / "killed"
        status, _ = attempt(run, moments.uniform(0, 0.5 * seconds) if len(steps) < count else None)
        if status:
            found = find_checkpoint(run / "last")
            steps.append(read_progress(found).step if found else 0)
            continue
        ended += 1
        for name in ("final/model.safetensors", "best/model.safetensors", "last/training.safetensors", "log.jsonl"):
            assert (run / name).read_bytes() == (folder / "whole" / name).read_bytes(), name
        shutil.rmtree(run)
    sys.stdout.write(json.dumps({"steps": steps, "ended": ended}))


def attempt(folder: Path, seconds: float | None) -> tuple[int, float]:
    """Train in a child process, killed so many seconds after it began if it lives that long.

    Returns:
        Its status, and how long the training took.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            trainer = build(folder, SHORT)
            os.write(writing, b"!")
            trainer.train()
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    begun = time.monotonic()
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)  # a child that has ended waits to be asked for its status
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, -signal.SIGKILL}, status
    return status, time.monotonic() - begun


def gradients(folder: Path) -> None:
    """Write the gradients of one batch under both losses, whole and in parts, with batch norms at rest."""
    vars(trainer_module)["freeze_statistics"] = rest  # all of them, not the encoder's alone
    for loss in ("cross_entropy", "squared_error"):
        for parts in (1, 2):
            config = replace(SHORT, epochs=1, loss=loss, gradient_accumulation_steps=parts, freeze_statistics=True)
            name = f"{loss}-{parts}"
            trainer = build(folder / name, config, samples=uneven(), gaussian=loss == "squared_error")
            found: dict[str, torch.Tensor] = {}

            def note(*_: object, model: nn.Module = trainer.model, found: dict[str, torch.Tensor] = found) -> None:
                for key, parameter in model.named_parameters():
                    if parameter.grad is not None:
                        found[key] = parameter.grad.detach().clone(memory_format=torch.contiguous_format)

            trainer.optimizer.register_step_pre_hook(note)
            trainer.train()
            save_file(found, folder / f"{name}-{Processes.current().rank}.safetensors")


def rest(model: nn.Module) -> None:
    """Let every batch norm use the statistics it has."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def uneven() -> list[Sample]:
    """Give a batch whose crops have different numbers of labels; the last one is a background."""
    samples = []
    for place, sample in enumerate(SyntheticPoses(count=8).samples()):
        visibility = sample.visibility.copy()
        visibility[: 2 * place] = 0
        last = place == 7
        samples.append(
            replace(sample, visibility=np.zeros_like(visibility) if last else visibility, is_background=last)
        )
    return samples


def validate(folder: Path) -> None:
    """Measure a model on ``FOLDER/data``, its images shared; then let one process fail."""
    start_accelerator()
    processes = Processes.current()
    annotations = folder / "data/annotations.json"
    dataset = read_coco(annotations, annotations.parent / "images")
    evaluator = CocoEvaluator(annotations, sigmas=np.full(17, 0.5))  # so mild that an untrained model finds somebody
    torch.manual_seed(1)
    model = PCR(CONFIG).eval()
    report: dict[str, Any] = {"processes": processes.count}
    report["metrics"] = CocoValidation(dataset, evaluator).measure(model).to_dict()
    rows = [row for own in processes.gather(evaluator.results) for row in own]
    report["rows"] = sorted(rows, key=lambda row: row["image_id"])
    one = replace(dataset, image_paths=dict(list(dataset.image_paths.items())[:1]), samples=dataset.samples[:1])
    report["one"] = CocoValidation(one, evaluator).measure(model).num_poses
    if processes.rank == 1:
        PosePredictor.stream = fail  # type: ignore[method-assign,assignment] # of this process alone
    try:
        CocoValidation(dataset, evaluator)(model)
    except (ProcessError, ValueError) as error:
        report["error"] = f"{type(error).__name__}: {error}"
    (folder / f"report-{processes.rank}.json").write_text(json.dumps(report))


def fail(*_: object) -> None:
    """Stand for an image that cannot be read."""
    raise ValueError("no such image")


def main() -> None:
    """Do what the command line says."""
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    command, folder = sys.argv[1], Path(sys.argv[2])
    if command == "train":
        build(folder, SHORT).train()
    elif command == "kill":
        kill(folder, int(sys.argv[3]))
    elif command == "gradients":
        gradients(folder)
    else:
        validate(folder)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
