r"""Fine-tune a pretrained model on your own annotations, whatever their keypoints.

    python examples/fine_tune.py train.json photos --output runs/mine
    python examples/fine_tune.py train.json photos --output runs/mine --val val.json photos

The annotations are a file in COCO's form. Run a command again to go on after an interruption.
``pcrpose train`` does the same; this is for those who want to change it.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from pcrpose import CocoEvaluator, Trainer, load_model
from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.readers.coco import read_coco
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.replace_skeleton import replace_skeleton
from pcrpose.training.config import TrainConfig
from pcrpose.training.validation import CocoValidation


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the data, give the model its keypoints, train."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(0)
    data = read_coco(options.annotations, options.images)
    model = replace_skeleton(load_model(options.start), data.skeleton)
    people = KeypointDataset(
        data.samples,
        source_skeleton=data.skeleton,
        crop=model.config.crop_spec,
        augmentation=Augmentation(color_jitter=0.2),
    )
    config = TrainConfig(
        epochs=options.epochs,
        batch_size=min(32, len(people)),
        learning_rate=options.learning_rate,
        freeze_statistics=True,  # a small data set's would be worse than those of the first training
        schedule="cosine",
        loss="cross_entropy" if model.config.heatmaps == "probability" else "squared_error",
        ema_decay=0.99,
        max_grad_norm=5.0,
        num_workers=options.workers,
        validate_every_epochs=max(1, options.epochs // 10),
    )
    measure = None if options.val is None else average_precision(options.val[0], options.val[1], data.skeleton)
    print(Trainer(model, people, options.output, config, validate=measure).train())


def average_precision(annotations: str, images: str, skeleton: Skeleton) -> CocoValidation:
    """Make the validation: AP on annotated boxes, without the mirrored test."""
    data = read_coco(annotations, images, skeleton=skeleton)
    return CocoValidation(data, CocoEvaluator(annotations, skeleton=skeleton))


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("annotations", type=Path, help="JSON file in COCO's form")
    options.add_argument("images", type=Path, help="folder of the images")
    options.add_argument("--output", type=Path, required=True, help="folder of the run")
    options.add_argument(
        "--val", nargs=2, metavar=("ANNOTATIONS", "IMAGES"), help="persons to choose the best model by"
    )
    options.add_argument("--start", default="pcr-nano", help="model to start from (%(default)s)")
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--learning-rate", type=float, default=1e-3)
    options.add_argument("--workers", type=int, default=2)
    return options


if __name__ == "__main__":
    main()
