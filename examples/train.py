r"""Train a small PCR network on drawn people, with nothing to download.

    python examples/train.py --output runs/drawn
    accelerate launch --multi_gpu --num_processes 4 examples/train.py --output runs/drawn

The same script trains in one process, on several GPUs and on several machines; the docs' page "Scale out" says how.
Run a command again to go on after an interruption. Your own persons take the place of ``SyntheticPoses``:
``read_coco(...).samples``.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from pcrpose import (
    COCO_17,
    PCR,
    Augmentation,
    KeypointDataset,
    PCRConfig,
    Size,
    SyntheticPoses,
    TrainConfig,
    Trainer,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and print where the model is."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = PCRConfig(
        encoder="resnet_nano",
        channels=(64, 64, 64),
        input_size=Size(width=96, height=128),
        sigma=6.0,
        heatmaps="probability",
    )
    people = KeypointDataset(
        SyntheticPoses(count=options.count).samples(),
        source_skeleton=COCO_17,
        crop=config.crop_spec,
        augmentation=Augmentation(),
    )
    settings = TrainConfig(
        epochs=options.epochs,
        batch_size=options.batch_size,  # over all processes
        loss="cross_entropy",
        num_workers=options.workers,
    )
    print(Trainer(PCR(config), people, options.output, settings).train())


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--output", type=Path, required=True, help="folder of the run")
    options.add_argument("--count", type=int, default=512, help="drawn people (%(default)s)")
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--batch-size", type=int, default=32, help="over all processes (%(default)s)")
    options.add_argument("--workers", type=int, default=2)
    return options


if __name__ == "__main__":
    main()
