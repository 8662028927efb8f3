r"""Train pcr-nano: COCO persons and Leeds Sports Extended persons in one run, on a CPU.

    python examples/train_pcr_nano.py --coco COCO_FOLDER --leeds LEEDS_FOLDER --output runs/nano
    python examples/train_pcr_nano.py --coco COCO_FOLDER --leeds LEEDS_FOLDER --output runs/larger \
        --start runs/nano/final --size 160x128 --learning-rate 1e-3 --epochs 14 --leeds-persons 2560

Both folders hold an annotation file in COCO's format and pictures. Run a command again to go on after an interruption.
The second starts from the weights of the first, at a higher resolution.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import torch

from pcrpose.data.augment import Augmentation
from pcrpose.data.coco import read_coco
from pcrpose.data.dataset import KeypointDataset, MixedDataset
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import LSP_14
from pcrpose.models.config import PCRConfig
from pcrpose.models.pcr import PCR
from pcrpose.training.config import TrainConfig
from pcrpose.training.trainer import Trainer

NANO = PCRConfig(
    encoder="resnet_nano",
    channels=(128, 96, 64),
    se_norm="none",
    input_size=Size(width=96, height=128),
    sigma=6.0,
    heatmaps="probability",
)


def main() -> None:
    """Read the arguments, prepare the data, train."""
    options = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(0)
    model = PCR(replace(NANO, input_size=options.size))
    if options.start is not None:
        model.load_state_dict(PCR.from_pretrained(options.start).state_dict())
    dataset = people(options.coco, options.leeds, model.config)
    config = TrainConfig(
        epochs=options.epochs,
        batch_size=64,
        # Leeds labels are noisy: an epoch takes about half of its 10,000 persons
        quotas=(8128, options.leeds_persons),
        learning_rate=options.learning_rate,
        schedule="cosine",
        warmup_steps=300,
        loss="cross_entropy",
        ema_decay=0.999,
        gradient_clip=5.0,
        precision="bf16",
        num_workers=options.workers,
        checkpoint_every=200,
    )
    print(Trainer(model, dataset, options.output, config).train())


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True, help="annotations/person_keypoints_train.json and train/")
    parser.add_argument("--leeds", type=Path, required=True, help="annotations.json and images/")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of weights to start from")
    parser.add_argument("--size", type=Size.parse, default=NANO.input_size, help="of the crops, height first")
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--leeds-persons", type=int, default=5056, help="in each epoch")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def people(coco: Path, leeds: Path, config: PCRConfig) -> MixedDataset:
    """Read both sources as crops of COCO's keypoints, every picture decoded once."""
    sources = (
        read_coco(coco / "annotations/person_keypoints_train.json", coco / "train"),
        read_coco(leeds / "annotations.json", leeds / "images", skeleton=LSP_14),
    )
    mixed = MixedDataset(
        [
            KeypointDataset(
                source.samples,
                source_skeleton=source.skeleton,
                skeleton=config.skeleton,
                input_size=config.input_size,
                padding=config.padding,
                augmentation=Augmentation(color_jitter=0.2),
                cache_images=True,
            )
            for source in sources
        ]
    )
    for part in mixed.datasets:
        part.preload()  # worker processes share what is decoded before they start
    return mixed


if __name__ == "__main__":
    main()
