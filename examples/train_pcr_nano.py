"""Train pcr-nano: COCO persons and Leeds Sports Extended persons in one run, on a CPU.

    python examples/train_pcr_nano.py --coco COCO_FOLDER --leeds LEEDS_FOLDER --output runs/nano

Both folders hold an annotation file in COCO's format and pictures; run it again to go on after an interruption.
"""

import argparse
import logging
from pathlib import Path

import torch

from pcrpose.data.augment import Augmentation
from pcrpose.data.coco import read_coco
from pcrpose.data.dataset import KeypointDataset, MixedDataset
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17, LSP_14
from pcrpose.models.config import PCRConfig
from pcrpose.models.pcr import PCR
from pcrpose.training.trainer import TrainConfig, Trainer

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True, help="annotations/person_keypoints_train.json and train/")
    parser.add_argument("--leeds", type=Path, required=True, help="annotations.json and images/")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    augmentation = Augmentation(color_jitter=0.2)
    sources = (
        read_coco(arguments.coco / "annotations/person_keypoints_train.json", arguments.coco / "train"),
        read_coco(arguments.leeds / "annotations.json", arguments.leeds / "images", skeleton=LSP_14),
    )
    mixed = MixedDataset(
        [
            KeypointDataset(
                source.samples,
                source_skeleton=source.skeleton,
                skeleton=COCO_17,
                input_size=NANO.input_size,
                padding=NANO.padding,
                augmentation=augmentation,
                cache_images=True,
            )
            for source in sources
        ]
    )
    for part in mixed.datasets:
        part.preload()  # worker processes share what is decoded before they start
    torch.manual_seed(0)
    config = TrainConfig(
        epochs=arguments.epochs,
        batch_size=64,
        # Leeds labels are noisy: COCO persons twice as often as their share
        quotas=(8128, 5056),
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=300,
        loss="cross_entropy",
        ema_decay=0.999,
        gradient_clip=5.0,
        precision="bf16",
        num_workers=arguments.workers,
        checkpoint_every=200,
        log_every=50,
    )
    print(Trainer(PCR(NANO), mixed, arguments.output, config).train())


if __name__ == "__main__":
    main()
