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

from pcrpose import CocoEvaluator, FineTune, load_model, read_coco
from pcrpose.training.fine_tune import learning_config


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the data, train."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    data = read_coco(options.annotations, options.images)
    val = None
    if options.val is not None:
        skeleton = learning_config(load_model(options.start).config, data.skeleton).skeleton
        val = (read_coco(*options.val, skeleton=skeleton), CocoEvaluator(options.val[0], skeleton=skeleton))
    settings = FineTune(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        num_workers=options.workers,
        teacher=options.teacher,
    )
    print(settings.train(options.start, data, options.output, val))


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("annotations", type=Path, help="JSON file in COCO's form")
    options.add_argument("images", type=Path, help="folder of the images")
    options.add_argument("--output", type=Path, required=True, help="folder of the run")
    options.add_argument(
        "--val", nargs=2, metavar=("ANNOTATIONS", "IMAGES"), help="persons to choose the best model by"
    )
    options.add_argument("--start", default="pcr-small", help="model to start from (%(default)s)")
    options.add_argument("--teacher", help="model whose heatmaps are learnt beside the labels")
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--learning-rate", type=float, default=1e-3)
    options.add_argument("--workers", type=int, default=2)
    return options


if __name__ == "__main__":
    main()
