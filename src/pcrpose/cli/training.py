"""What every form of ``pcrpose train`` needs: model, schedule and validation beforehand, and what to say afterwards."""

import argparse
import logging
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pcrpose.data.dataset import Cache
from pcrpose.data.doctor.examine import examine
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.json_file import JsonFile
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.files.json import read_object
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.loss import LossKind
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.replace_skeleton import replace_skeleton
from pcrpose.training.checkpoint import find_checkpoint, read_progress
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.distributed import Processes
from pcrpose.training.engine.run import RECORD_FILE
from pcrpose.training.validation import CocoValidation

logger = logging.getLogger(__name__)

EPOCHS = 30
COLOR_JITTER = 0.2
AREA_PER_BOX = 0.53  # COCO's persons fill about so much of their boxes; for annotations without an area
CACHED_BYTES = 1 << 30  # of decoded images in memory
LOG_LINES = 20
VALIDATIONS = 10
CHECKPOINT_STEPS = 100


def prepare_model(
    model: PoseModel[Any], skeleton: Skeleton, *, size: Size | None = None, keep: bool = True
) -> PoseModel[Any]:
    """Give a pretrained model the keypoints and the input size it is to learn.

    Args:
        model: to start from.
        skeleton: of the data.
        size: of the crops; None keeps the model's.
        keep: where the data's keypoints are the model's by name, keep the model's flip pairs, bones and sigmas too.
    """
    config = prepare_config(model.config, skeleton, size=size, keep=keep)
    return model if config == model.config else replace_skeleton(model, config.skeleton, input_size=size)


def prepare_config(
    config: PoseConfig, skeleton: Skeleton, *, size: Size | None = None, keep: bool = True
) -> PoseConfig:
    """Say what a network is like that learns a data set's keypoints; arguments as for `prepare_model`."""
    wanted = config.skeleton if keep and config.skeleton.keypoints == skeleton.keypoints else skeleton
    return replace(config, skeleton=wanted, input_size=config.input_size if size is None else size)


def loss_for(config: PoseConfig) -> LossKind:
    """Name the loss that goes with a network's heatmaps."""
    return "cross_entropy" if config.heatmaps == "probability" else "squared_error"


def check_val(annotations: Path, images: Path) -> None:
    """Refuse what is to be measured on, before anything is read, where it is not there."""
    if not annotations.is_file():
        raise FileNotFoundError(f"--val {annotations}: expected an annotation file, found none")
    if not images.is_dir():
        raise FileNotFoundError(f"--val {annotations}: expected {images} to be the folder of its images, found none")


def average_precision(annotations: Path, images: Path, skeleton: Skeleton) -> CocoValidation:
    """Make the validation of a training: AP by COCO's rules on annotated boxes, each crop seen once."""
    file = AnnotationFile.read(annotations)
    source = annotations if file.content is None else JsonFile(str(annotations), file.content)
    dataset = read_coco(source, images, skeleton=skeleton)
    dataset.require_images()
    evaluator = CocoEvaluator(
        file.content or annotations,
        skeleton=skeleton,
        category_id=file.category.get("id"),
        area_per_box=AREA_PER_BOX,
    )
    return CocoValidation(dataset, evaluator)


def warn_of_errors(
    annotations: Path, images: Path, *, skeleton: Skeleton | None = None, val: tuple[Path, Path] | None = None
) -> None:
    """Log what ``pcrpose doctor`` calls an error; reading decides whether it stops the training."""
    logger.info("looking through %s", annotations)
    against, against_images = val or (None, None)
    found = examine(annotations, images, skeleton=skeleton, against=against, against_images=against_images)
    errors = [finding for finding in found if finding.severity == "error"]
    for finding in errors:
        logger.warning("%s", str(finding).removeprefix("error: "))
    if errors:
        command = f"pcrpose doctor {annotations} {images}"
        logger.warning('these are errors; better fix the file before a long training: "%s" says how', command)


def choose_cache(data: Iterable[AnnotatedPersons], *, reduce_jpegs: bool) -> Cache:
    """Return how images are decoded: kept in memory, unless they are too many or to be decoded at a part of their size.

    Args:
        data: all persons of the run.
        reduce_jpegs: whether the command asks for ``"reduced"``.
    """
    if reduce_jpegs:
        return "reduced"
    pixels = 0
    for part in data:
        used = {sample.image_id for sample in part.samples}
        pixels += sum(part.image_sizes[image_id].width * part.image_sizes[image_id].height for image_id in used)
    return "decoded" if 3 * pixels <= CACHED_BYTES else "none"


def fine_tuning(options: argparse.Namespace, samples: int, model: PoseConfig) -> TrainConfig:
    """Say how a pretrained model is trained on.

    Args:
        options: of the command.
        samples: that an epoch sees.
        model: its configuration; its heatmaps decide the loss.
    """
    epochs = options.epochs or EPOCHS
    batch = min(options.batch, samples)
    steps = epochs * (samples // batch)
    return TrainConfig(
        epochs=epochs,
        batch_size=batch,
        learning_rate=options.learning_rate,
        freeze_statistics=True,  # a small data set's would be worse than those of the first training
        schedule="cosine",
        warmup_steps=min(50, steps // 10),
        loss=loss_for(model),
        ema_decay=0.99,
        max_grad_norm=5.0,
        precision=options.precision,
        num_workers=options.workers,
        seed=options.seed,
        checkpoint_every_steps=CHECKPOINT_STEPS,
        validate_every_epochs=max(1, epochs // VALIDATIONS),
        log_every_steps=max(1, steps // LOG_LINES),
    )


def steps_done(folder: Path) -> int:
    """Read how far the training in a folder is; 0 where there is none."""
    checkpoint = find_checkpoint(folder / "last")
    return 0 if checkpoint is None else read_progress(checkpoint).step


def refuse_other_length(folder: Path, epochs: int, *, newest: Path | None = None) -> None:
    """Say what to do where a training is asked to become longer or shorter.

    Args:
        folder: of the training.
        epochs: that are asked for.
        newest: model to train further instead, by default the training's own.

    Raises:
        ValueError: if there is a training of another length: how its learning rate falls was decided with it.
    """
    checkpoint = find_checkpoint(folder / "last")
    if checkpoint is None or not (folder / RECORD_FILE).is_file():
        return
    before = read_object(folder / RECORD_FILE).get("epochs")
    if before != epochs:
        model = newest or next((path for path in (folder / "final", folder / "last") if path.is_dir()), checkpoint)
        raise ValueError(
            f"{folder}: holds a training of {before} epochs, found {epochs}; its learning rate falls over all of them. "
            f"Ask for {before} to go on with it, or train its model further in another run: "
            f"--start {model} --out ANOTHER"
        )


def say_result(folder: Path, *, finished: str | None, val: Path | None) -> None:
    """Print where the model of a training is, how good, and how to use it; of several processes the first does.

    Args:
        folder: of the training, or of the last stage.
        finished: how long a training was that was finished before; None for one that has just come to its end.
        val: the annotations it was measured on.
    """
    model = folder / "final"
    checkpoint = find_checkpoint(folder / "last")
    best = None if checkpoint is None else read_progress(checkpoint).best
    lines: list[str] = []
    if finished is not None:
        lines.append(f"this training is finished: {finished}; nothing was left to do")
    if val is not None and best is not None and (folder / "best").is_dir():
        model = folder / "best"
        lines.append(f"best AP {best:.3f} on {val}, annotated boxes, no mirroring")
    lines += [
        f"the model is in {model}",
        f"  pcrpose predict photo.jpg --model {model} --out drawn",
        f'  PosePredictor(load_model("{model}")).predict("photo.jpg")',
    ]
    if finished is not None:
        lines.append(f"to train it further, begin another run from it: --start {folder / 'final'} --out ANOTHER")
    if Processes.current().rank == 0:
        sys.stdout.write("\n".join(lines) + "\n")
