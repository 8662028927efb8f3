"""Run a recipe: one training per stage, each starting from the weights of the stage before."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import Cache, KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.sampler import background_quota
from pcrpose.data.samples import Sample
from pcrpose.files.json import read_object
from pcrpose.keypoints.skeleton import AIC_14, Skeleton
from pcrpose.models.load import load_model
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.replace_skeleton import replace_skeleton
from pcrpose.training.checkpoint import find_checkpoint
from pcrpose.training.config import TrainConfig
from pcrpose.training.recipe import LETTERS, RECIPE_FILE, Recipe, read_recipe, write_recipe
from pcrpose.training.start import Start, check_same_start, describe_start, random_model
from pcrpose.training.trainer import Trainer, Validate

logger = logging.getLogger(__name__)

_NOTHING_IN_COMMON = Skeleton("nothing in common", ("",), (), (), (1.0,))


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """The data of one letter of a recipe.

    Attributes:
        samples: such as ``read_coco(...).samples``.
        skeleton: of the samples' keypoints; matched by name with those that a stage predicts.
        per_epoch: how many of them an epoch takes, in turn; more than there are repeats some. By default all once, and
            of the hard negatives (H) one to eight persons, which is ours.
        augmentation: None shows every box as it stands.
        cache: see `KeypointDataset`; with ``"decoded"`` every image is opened before a stage begins.

    Raises:
        ValueError: if there is no sample, or an epoch would take none.
    """

    samples: Sequence[Sample]
    skeleton: Skeleton
    per_epoch: int | None = None
    augmentation: Augmentation | None = Augmentation()  # noqa: RUF009 - frozen
    cache: Cache = "none"

    def __post_init__(self) -> None:
        if not len(self.samples):
            raise ValueError(f"source in {self.skeleton.name}: expected samples, found none")
        if self.per_epoch is not None and self.per_epoch < 1:
            raise ValueError(f"per_epoch: expected at least 1 or None, found {self.per_epoch}")

    def crops(self, model: PoseConfig, *, seed: int = 0) -> KeypointDataset:
        """Build the crops that a model is trained on; with ``cache="decoded"`` the images are opened now.

        Args:
            model: configuration of the model, which decides the keypoints and the crop.
            seed: of the augmentation.

        Raises:
            ValueError: as `KeypointDataset`.
        """
        samples, skeleton = self.samples, self.skeleton
        if samples[0].is_background:  # nobody's keypoints: a negative fits every skeleton
            skeleton = model.skeleton
            points, labels = np.zeros((skeleton.num_keypoints, 2)), np.zeros(skeleton.num_keypoints, dtype=np.int64)
            samples = [replace(sample, keypoints=points, visibility=labels) for sample in samples]
        crops = KeypointDataset(
            samples,
            source_skeleton=skeleton,
            skeleton=model.skeleton,
            crop=model.crop_spec,
            augmentation=self.augmentation,
            seed=seed,
            cache=self.cache,
        )
        if self.cache == "decoded":
            crops.preload()  # worker processes share what is decoded before they start
        return crops


def run_recipe(
    recipe: Recipe,
    sources: Mapping[str, Source],
    model_config: PoseConfig,
    output_dir: str | Path,
    *,
    configs: Sequence[TrainConfig] = (TrainConfig(),),
    start: Start | None = None,
    validate: Validate | None = None,
) -> Path:
    """Train stage after stage, each in a folder of its own; an interrupted run goes on where it stopped.

    Stage n is in ``stage-n-LETTERS`` and has `Trainer`'s files and ``recipe.json``. The next one starts from its
    ``final`` weights with a new optimizer and a seed one higher. Where the keypoints are others, encoder and decoder
    are carried over and all heads are new.

    Args:
        recipe: what to train on.
        sources: what each letter stands for; more than the recipe needs do no harm.
        model_config: of the model in the end. Stages on A alone predict the keypoints of A's source instead.
        output_dir: created if missing.
        configs: one, of the first stage and of the others in proportion, see `Stage.configure`; or two, the second of
            all stages but the first. By default the cited baseline's. What an epoch takes is each `Source`'s to say:
            ``quotas`` has to be None.
        start: what the first stage starts from, an `Encoder` or the `Weights` of a whole network; by default all
            weights are random, which is not as the paper trains.
        validate: see `Trainer`; called in the stages that predict what the last one does.

    Returns:
        The folder with the last stage's final weights.

    Raises:
        ImportError: without the ``train`` extra.
        ValueError: if a letter has no source, H holds persons or another source holds negatives, ``start`` is another
            network, there are not one or two ``configs``, or ``output_dir`` holds stages of another recipe or start.
    """
    if not 1 <= len(configs) <= 2:  # noqa: PLR2004 - the first stage's and all others'
        raise ValueError(f"configs: expected one or two, found {len(configs)}")
    if any(config.quotas is not None for config in configs):
        raise ValueError("quotas: expected None: per_epoch of a source says how many of its samples an epoch takes")
    _check_sources(recipe, sources)
    folder = Path(output_dir)
    begun = any(find_checkpoint(stage / "last") is not None for stage in folder.glob("stage-*"))
    beginning = describe_start(start, begun=begun)
    _refuse_other_runs(folder, recipe, beginning)
    own = sources["A"].skeleton if "A" in sources else AIC_14
    stages = recipe.plan(own=own, merged=model_config.skeleton)
    final = folder
    for stage in stages:
        config = configs[-1] if len(configs) > 1 and stage.number > 1 else stage.configure(configs[0])
        config = replace(config, seed=config.seed + stage.number - 1)
        begun = find_checkpoint(folder / stage.name / "last") is not None
        if stage.number > 1:
            model = _carry_over(load_model(final), stage.skeleton, config.seed)
        else:
            wanted = replace(model_config, skeleton=stage.skeleton, calibration=None)
            # a checkpoint holds what became of the start
            model = random_model(wanted, config.seed) if begun or start is None else start.build(wanted, config.seed)
        chosen = {letter: sources[letter] for letter in stage.sources}
        facts = _facts(chosen) | beginning
        measured = stage.skeleton.keypoints == stages[-1].skeleton.keypoints
        logger.info("%s: stage %d of %d, %s", recipe, stage.number, len(stages), _counts_in_words(facts))
        (folder / stage.name).mkdir(parents=True, exist_ok=True)
        if not begun:  # otherwise the trainer refuses to go on with other data
            write_recipe(folder / stage.name, recipe, stage, facts)
        final = _train(model, chosen, folder / stage.name, config, validate if measured else None)
        write_recipe(final, recipe, stage, facts)  # a copy of the model takes it along
    return final


def _check_sources(recipe: Recipe, sources: Mapping[str, Source]) -> None:
    if unknown := [letter for letter in sources if letter not in LETTERS]:
        raise ValueError(f"sources: expected the letters {', '.join(LETTERS)}, found {unknown[0]!r}")
    if missing := [letter for letter in recipe.letters if letter not in sources]:
        raise ValueError(f"sources: expected data for {', '.join(missing)} of {recipe}, found {sorted(sources)}")
    for letter in recipe.letters:
        wanted = letter == "H"
        wrong = sum(sample.is_background != wanted for sample in sources[letter].samples)
        if wrong:
            expected, found = ("negatives alone", "persons") if wanted else ("persons alone", "negatives")
            raise ValueError(f"source {letter}: expected {expected}, found {wrong} {found}")


def _refuse_other_runs(folder: Path, recipe: Recipe, beginning: Mapping[str, Any]) -> None:
    if find_checkpoint(folder / "last") is not None:
        raise ValueError(f"{folder}: expected a folder for the stages of {recipe}, found a training; choose another")
    for stage in sorted(folder.glob("stage-*")):
        begun = find_checkpoint(stage / "last") is not None
        if (stage / RECIPE_FILE).is_file():
            if (other := read_recipe(stage)) != recipe:
                raise ValueError(f"{stage}: expected a stage of {recipe}, found one of {other}; choose another folder")
            if begun:
                check_same_start(read_object(stage / RECIPE_FILE), beginning, stage)
        elif begun:
            raise ValueError(f"{stage}: holds a training without {RECIPE_FILE}; choose another folder")


def _carry_over(model: PoseModel[Any], skeleton: Skeleton, seed: int) -> PoseModel[Any]:
    """Return a copy of another stage's model, with new heads where the keypoints differ."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if model.config.skeleton.keypoints != skeleton.keypoints:
            model = replace_skeleton(model, _NOTHING_IN_COMMON)
        return replace_skeleton(model, skeleton)


def _facts(sources: Mapping[str, Source]) -> dict[str, Any]:
    """Return how many samples a stage has and takes per epoch, for its file."""
    return {
        "samples": {letter: len(source.samples) for letter, source in sources.items()},
        "per_epoch": epoch_counts(sources),
    }


def _counts_in_words(facts: Mapping[str, Any]) -> str:
    counts = [f"{count} of {facts['samples'][letter]} from {letter}" for letter, count in facts["per_epoch"].items()]
    return f"samples of an epoch: {', '.join(counts)}"


def _train(
    model: PoseModel[Any],
    sources: Mapping[str, Source],
    folder: Path,
    config: TrainConfig,
    validate: Validate | None,
) -> Path:
    crops = MixedDataset([source.crops(model.config, seed=config.seed) for source in sources.values()])
    config = replace(config, quotas=tuple(epoch_counts(sources).values()))
    return Trainer(model, crops, folder, config, validate=validate).train()


def epoch_counts(sources: Mapping[str, Source]) -> dict[str, int]:
    """Return how many samples of each source an epoch takes, by letter."""
    persons = {letter: source.per_epoch or len(source.samples) for letter, source in sources.items() if letter != "H"}
    negatives = background_quota(max(1, sum(persons.values())))
    return {letter: persons.get(letter) or source.per_epoch or negatives for letter, source in sources.items()}
