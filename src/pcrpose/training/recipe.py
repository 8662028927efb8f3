"""Recipes: on which data a model is trained, stage after stage, in the paper's notation.

Source:
    Section 2.3 and table 4 of the paper. It says which data; the schedules of the stages after the first are ours.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from pcrpose.files.atomic import write_text
from pcrpose.files.json import read_json
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, Skeleton
from pcrpose.models.paper_tables import TABLE_3 as NETWORKS
from pcrpose.models.pose_config import PoseConfig
from pcrpose.training.config import TrainConfig

Carried = Literal["nothing", "encoder and decoder", "everything"]

LETTERS: Mapping[str, str] = MappingProxyType(
    {"A": "AI Challenger", "C": "COCO", "H": "hard negatives", "U": "pseudo-labelled images"}
)
RECIPE_FILE = "recipe.json"
VERSION = 1
ARROW = "->"
ARROWS = re.compile("->|[\u2192\u21d2\u27f6\u2794\u279c]")
WHOLE_EPOCHS, FINE_TUNE_EPOCHS, FINE_TUNE_MILESTONE = 210, 20, 15
FINE_TUNE_RATE = 0.1


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One training of a recipe.

    Attributes:
        number: its place, from 1.
        sources: the letters of the data it trains on, together.
        skeleton: what it predicts: A's own keypoints where A is alone, else C's; A's twelve common ones count there.
        carried: what it takes over from the stage before. Where the skeleton changes all heads are new, as in the
            paper's transfer learning; `replace_skeleton` would keep the common keypoints' rows.
    """

    number: int
    sources: str
    skeleton: Skeleton
    carried: Carried

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"stage-{self.number}-{self.sources}"

    def configure(self, base: TrainConfig) -> TrainConfig:
        """Return its schedule.

        The first stage trains as ``base`` says, whose defaults are the cited baseline's: 210 epochs at 1e-3. Every
        later one is a fine-tuning (ours): 20 epochs at 1e-4, a tenth of that from epoch 15, and the same in
        proportion where ``base`` is shorter or slower; at least one epoch.
        """
        if self.number == 1:
            return base
        return replace(
            base,
            epochs=max(1, round(base.epochs * FINE_TUNE_EPOCHS / WHOLE_EPOCHS)),
            learning_rate=base.learning_rate * FINE_TUNE_RATE,
            milestones=(FINE_TUNE_MILESTONE / FINE_TUNE_EPOCHS,),
        )


@dataclass(frozen=True)
class Recipe:
    """The stages of a training as the paper writes them; ``str`` and `parse` are inverses.

    Attributes:
        sources: the letters of each stage, such as ``("ACHU", "CH")``; in the order A, C, H, U.

    Raises:
        ValueError: saying which stage cannot be, and why.

    Examples:
        >>> recipe = Recipe.parse("A->C")
        >>> [(stage.name, stage.skeleton.name, stage.carried) for stage in recipe.stages]
        [('stage-1-A', 'AIC_14', 'nothing'), ('stage-2-C', 'COCO_17', 'encoder and decoder')]
        >>> str(recipe)
        'A->C'
    """

    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.sources, tuple) or not self.sources:
            raise ValueError(f"recipe: expected the letters of each stage in a tuple, found {self.sources!r}")
        for number, letters in enumerate(self.sources, start=1):
            _check_stage(letters, f"recipe {ARROW.join(map(str, self.sources))!r}, stage {number}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the paper's notation; spaces around an arrow and the arrow signs of Unicode are taken too."""
        if not isinstance(text, str):
            raise TypeError(f"recipe: expected a text such as 'ACHU->CH', found a {type(text).__name__}")
        return cls(tuple(letters.strip() for letters in ARROWS.split(text)))

    def __str__(self) -> str:
        return ARROW.join(self.sources)

    @property
    def letters(self) -> tuple[str, ...]:
        """Every letter that some stage needs, in the paper's order."""
        return tuple(letter for letter in LETTERS if any(letter in sources for sources in self.sources))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages on the paper's data: 14 keypoints where AI Challenger is alone, COCO's 17 elsewhere."""
        return self.plan()

    def plan(self, *, own: Skeleton = AIC_14, merged: Skeleton = COCO_17) -> tuple[Stage, ...]:
        """Return the stages for other data than the paper's.

        Args:
            own: keypoints of what stands for A; those of the stages where no other persons are.
            merged: keypoints of all other stages.
        """
        stages: list[Stage] = []
        for number, sources in enumerate(self.sources, start=1):
            skeleton = own if set(sources) <= {"A", "H"} else merged
            carried: Carried = "nothing"
            if stages:
                same = stages[-1].skeleton.keypoints == skeleton.keypoints
                carried = "everything" if same else "encoder and decoder"
            stages.append(Stage(number=number, sources=sources, skeleton=skeleton, carried=carried))
        return tuple(stages)


def _check_stage(letters: str, where: str) -> None:
    """Raise ValueError unless a text is a stage; the message ends with what to write instead, where that is clear."""
    known = ", ".join(f"{letter} ({meaning})" for letter, meaning in LETTERS.items())
    if not letters:
        raise ValueError(f"{where}: expected letters on both sides of every arrow, found none")
    for letter in letters:
        if letter not in LETTERS:
            hint = f"; write {letter.upper()!r}" if letter.upper() in LETTERS else ""
            raise ValueError(f"{where}: expected the letters {known}, found {letter!r}{hint}")
    if len(set(letters)) < len(letters):
        raise ValueError(f"{where}: expected each letter once, found {letters!r}; a source's share is not the recipe's")
    if letters != (ordered := "".join(sorted(letters))):
        raise ValueError(f"{where}: expected the paper's order {ordered!r}, found {letters!r}")
    if "H" in letters and not {"A", "C"} & set(letters):
        raise ValueError(f"{where}: expected A or C beside H, found {letters!r}: negatives alone teach to find nobody")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of one of the paper's tables: a network and how it is trained. Encoders start from ImageNet's weights."""

    model: PoseConfig
    recipe: Recipe


TABLE_3: Mapping[str, Row] = MappingProxyType(
    {name: Row(model=model, recipe=Recipe.parse("C")) for name, model in NETWORKS.items()}
)

TABLE_4: Mapping[str, Row] = MappingProxyType(
    {
        text: Row(model=NETWORKS["PCR (R50), SE + HDC + AD"], recipe=Recipe.parse(text))
        for text in ("A->C", "AC->C", "ACH->CH", "ACHU->CH")
    }
)


def write_recipe(folder: Path, recipe: Recipe, stage: Stage, facts: Mapping[str, Any]) -> None:
    """Write a recipe beside the weights of one of its stages.

    Args:
        folder: of the stage or of a model; it is there.
        recipe: the whole one.
        stage: the one whose folder it is.
        facts: more to keep, by name; what JSON can hold.
    """
    content = {"version": VERSION, "recipe": str(recipe), "stage": stage.number, **facts}
    write_text(folder / RECIPE_FILE, json.dumps(content, indent=2) + "\n")


def read_recipe(folder: str | Path) -> Recipe:
    """Rebuild the recipe of a stage's folder, or of a checkpoint or a model inside one.

    Raises:
        FileNotFoundError: if no recipe was saved there.
        ValueError: if the file is damaged, of a later version, or its recipe cannot be.
    """
    here = Path(folder)
    path = next((place / RECIPE_FILE for place in (here, here.parent) if (place / RECIPE_FILE).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{here}: expected {RECIPE_FILE} there or in the folder around it, found none")
    content: Any = read_json(path)
    if not isinstance(content, dict) or content.get("version") != VERSION or not isinstance(content.get("recipe"), str):
        raise ValueError(f"{path}: expected a recipe of version {VERSION}, found {str(content)[:80]}")
    try:
        return Recipe.parse(content["recipe"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
