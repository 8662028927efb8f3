"""``pcrpose train-recipe``: the paper's training stages on the user's data."""

import argparse
import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pcrpose.cli.shared.options import MODEL, at_least, weights_source
from pcrpose.cli.shared.recipe_data import RecipeData
from pcrpose.cli.shared.training import (
    add_common_arguments,
    average_precision,
    fine_tune,
    prepare,
    refuse_other_length,
    say_result,
    steps_done,
)
from pcrpose.data.augment import Augmentation
from pcrpose.data.readers.read_annotations import FORMATS
from pcrpose.data.readers.skeleton import read_skeleton
from pcrpose.keypoints.skeleton import AIC_14
from pcrpose.models.hub import find_folder, read_config
from pcrpose.models.load import ARCHITECTURES
from pcrpose.models.paper_tables import TABLE_1, TABLE_3
from pcrpose.models.pose_config import PoseConfig
from pcrpose.training.config import TrainConfig
from pcrpose.training.fine_tune import LOG_LINES, VALIDATIONS, FineTune, learning_config, loss_of
from pcrpose.training.recipe import LETTERS, WHOLE_EPOCHS, Recipe, Stage
from pcrpose.training.run_recipe import Source, epoch_counts, run_recipe
from pcrpose.training.start import Encoder, Weights

logger = logging.getLogger(__name__)

T = TypeVar("T")

NETWORKS: Mapping[str, PoseConfig] = MappingProxyType({**TABLE_1, **TABLE_3})


EPILOG = """\
examples:
  pcrpose train-recipe C --data C train.json photos --out runs/c
  pcrpose train-recipe "CHU->CH" --data C train.json photos --data H negatives.json photos \\
      --data U pseudo.json unlabelled --out runs/recipe --val val.json photos

The first stage starts from a pretrained model, or anew with --network; each other one from the stage before.
The same command again goes on from the last checkpoint.

exit codes: 0 the training is done; 2 a mistake in what was asked for; 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument(
        "recipe",
        type=_recipe,
        metavar="RECIPE",
        help=f'such as "ACHU->CH": {", ".join(f"{letter} {meaning}" for letter, meaning in LETTERS.items())}',
    )
    add_common_arguments(parser, epochs=f"{FineTune.epochs}; with --network the 210 of the paper's baselines")
    group = parser.add_argument_group("recipe", "Train on several kinds of data, one stage after the other.")
    group.add_argument(
        "--data",
        nargs=3,
        action="append",
        default=[],
        metavar=("LETTER", "FILE", "IMAGES"),
        help="what a letter stands for, once for each: annotations for A, C and U, a file of pcrpose mine for H, and "
        "the folder of their images",
    )
    group.add_argument(
        "--format",
        type=_of_letter(str),
        action="append",
        default=[],
        metavar="LETTER=NAME",
        help=f"format of a file of A or C: {', '.join(FORMATS)}; by default it is told from the file",
    )
    group.add_argument(
        "--per-epoch",
        type=_of_letter(at_least(1)),
        action="append",
        default=[],
        metavar="LETTER=N",
        help="samples of a letter that an epoch takes; by default all once, of H one to eight persons",
    )
    group.add_argument(
        "--verified-only", action="store_true", help="leave out negatives at which nobody has looked on the sheets"
    )
    group.add_argument(
        "--network",
        metavar="NAME",
        help="train this network from the beginning instead of --start, as the paper does: a name of its tables such "
        'as "PCR (R50), SE + HDC + AD", or a model whose configuration is taken',
    )
    group.add_argument(
        "--encoder",
        type=weights_source,
        metavar="NAME",
        help="weights that the encoder of --network starts from, ImageNet's mostly: a file, a folder, or owner/name on "
        "the Hub such as timm/resnet50.a1_in1k",
    )
    group.add_argument(
        "--fine-tune-epochs",
        type=at_least(1),
        metavar="N",
        help="of each stage after the first; by default 20 to 210 of the first",
    )


def _recipe(text: str) -> Recipe:
    try:
        return Recipe.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _of_letter(kind: Callable[[str], T]) -> Callable[[str], tuple[str, T]]:
    """Return the argument type of ``LETTER=VALUE``."""

    def pair(text: str) -> tuple[str, T]:
        letter, sign, value = text.partition("=")
        if not sign or letter not in LETTERS:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(LETTERS)}, = and a value, found {text!r}")
        return letter, kind(value)

    return pair


def run(options: argparse.Namespace) -> int:
    """Run the stages, or what is left of them, and print where the model is."""
    prepare(options)
    _check_model(options)
    recipe: Recipe = options.recipe
    data = RecipeData.check(options)
    epochs = _epochs(options)
    folders = [options.out / stage.name for stage in recipe.stages]
    models = [folder / "final" for folder in folders if (folder / "final").is_dir()]
    for folder, count in zip(folders, epochs, strict=True):
        refuse_other_length(folder, count, newest=models[-1] if models else None)
    network = read_network(options.network or options.start or MODEL)
    skeleton = None if options.skeleton is None else read_skeleton(options.skeleton)
    persons = data.read_persons(skeleton)
    config = learning_config(network, persons[data.main].skeleton, input_size=options.size, keep=skeleton is None)
    sources = data.sources(persons, _augmentation(options))
    plan = recipe.plan(own=persons["A"].skeleton if "A" in persons else AIC_14, merged=config.skeleton)
    predicted = plan[-1].skeleton
    logger.info("the model will find the %d keypoints of %s", predicted.num_keypoints, predicted.name)
    validate = None if options.val is None else average_precision(options.val[0], options.val[1], plan[-1].skeleton)
    base, later = _schedules(options, plan, sources, config, epochs)
    before = steps_done(folders[-1])
    final = run_recipe(
        recipe,
        sources,
        config,
        options.out,
        configs=(base,) if later is None else (base, later),
        start=_start(options),
        validate=validate,
    )
    finished = 0 < before == steps_done(final.parent)
    told = f"{len(plan)} of {len(plan)} stages, {' + '.join(map(str, epochs))} epochs" if finished else None
    say_result(final.parent, finished=told, val=options.val and options.val[0])
    return 0


def _start(options: argparse.Namespace) -> Encoder | Weights | None:
    """Return the weights that the first stage starts from."""
    if options.network is None:
        return Weights(options.start or MODEL)
    return None if options.encoder is None else Encoder(options.encoder)


def _check_model(options: argparse.Namespace) -> None:
    """Validate the options about the model, before anything is read."""
    if options.network is not None and options.start is not None:
        raise ValueError("expected --start, whose weights are trained on, or --network, which begins anew; found both")
    if options.fine_tune_epochs is not None and len(options.recipe.stages) == 1:
        raise ValueError(f"--fine-tune-epochs: expected a recipe of several stages, found {options.recipe}")
    if options.encoder is not None and options.network is None:
        raise ValueError("--encoder: expected with --network; what --start names brings its own encoder")
    if isinstance(options.encoder, Path) and not options.encoder.exists() and not options.out.exists():
        raise FileNotFoundError(f"--encoder {options.encoder}: expected a file of weights, found none")


def read_network(name: str) -> PoseConfig:
    """Return the configuration of a network: one of the paper's tables, or a saved model's; no weights are read."""
    if name in NETWORKS:
        return NETWORKS[name]
    try:
        folder = find_folder(name)
    except ValueError as error:
        close = difflib.get_close_matches(name, NETWORKS, n=2) or list(NETWORKS)
        raise ValueError(
            f"{error}; the networks of the paper's tables are for --network: {', '.join(map(repr, close))}"
        ) from error
    architecture, values = read_config(folder)
    if architecture not in ARCHITECTURES:
        raise ValueError(f"{name}: expected one of {list(ARCHITECTURES)}, found the architecture {architecture!r}")
    return ARCHITECTURES[architecture].config_class.from_dict(values)


def _augmentation(options: argparse.Namespace) -> Augmentation:
    """Return the paper's augmentation; where pretrained weights are fine-tuned, with colors too."""
    usual = fine_tune(options).augmentation
    return replace(usual, color_jitter=0.0) if options.network else usual


def _epochs(options: argparse.Namespace) -> list[int]:
    """Return the epochs of each stage."""
    first = options.epochs or (WHOLE_EPOCHS if options.network else FineTune.epochs)
    stages: tuple[Stage, ...] = options.recipe.stages
    later = [options.fine_tune_epochs or stage.configure(TrainConfig(epochs=first)).epochs for stage in stages[1:]]
    return [first, *later]


def _schedules(
    options: argparse.Namespace,
    plan: Sequence[Stage],
    sources: Mapping[str, Source],
    config: PoseConfig,
    epochs: Sequence[int],
) -> tuple[TrainConfig, TrainConfig | None]:
    """Return the training settings of the first stage, and of all others."""
    seen = [sum(epoch_counts({letter: sources[letter] for letter in stage.sources}).values()) for stage in plan]
    batch = min(options.batch, *seen)
    if options.network is None:
        base = replace(fine_tune(options).config(seen[0], config), batch_size=batch)
    else:
        base = TrainConfig(
            batch_size=batch,
            learning_rate=options.learning_rate,
            loss=loss_of(config),
            precision=options.precision,
            num_workers=options.workers,
            seed=options.seed,
        )
    base = _with_epochs(base, epochs[0], seen[0])
    return base, _with_epochs(plan[1].configure(base), epochs[1], min(seen[1:])) if len(plan) > 1 else None


def _with_epochs(config: TrainConfig, epochs: int, samples: int) -> TrainConfig:
    """Return settings for so many epochs, logged and validated about as often as any other training."""
    steps = epochs * (samples // config.batch_size)
    return replace(
        config,
        epochs=epochs,
        warmup_steps=min(config.warmup_steps, steps // 10),
        validate_every_epochs=max(1, epochs // VALIDATIONS),
        log_every_steps=min(TrainConfig.log_every_steps, max(1, steps // LOG_LINES)),
    )
