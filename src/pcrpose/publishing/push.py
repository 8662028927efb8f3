"""Publishing on the Hugging Face Hub: weights, configuration and a card with a drawn image, as one commit."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from huggingface_hub import ModelCard

from pcrpose.data.images import open_image
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.files.atomic import write_text
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.boxes import Size, whole_image_box
from pcrpose.models.ensemble_file import ENSEMBLE_FILE, read_ensemble_file
from pcrpose.models.flops import measure_cost
from pcrpose.models.hub import CONFIG_FILE, WEIGHTS_FILE, find_folder
from pcrpose.models.load import load_model
from pcrpose.models.pose_model import CARD, HeatmapModel, PoseModel
from pcrpose.models.upload import upload_folder
from pcrpose.publishing.card import CARD_FILE
from pcrpose.publishing.folder_card import FolderCard, drawn_image
from pcrpose.publishing.measurement import Measurement
from pcrpose.training.recipe import RECIPE_FILE, read_recipe

IMAGE_FILE = "poses.jpg"
_NOTHING_SAID = CARD.partition("```")[0].rpartition("\n\n")[0].rpartition("\n\n")[2]  # the sentence of an empty card
_LOADED = re.compile(r'(load_model|from_pretrained|Ensemble\.load)\("[^"]*"\)')
_HEADING = re.compile(r"^## ", re.MULTILINE)
_SHOWN_IMAGE = re.compile(r"!\[")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a model's maker says of it, where no card of its own does.

    Attributes:
        license: of the weights, as the Hub lists them: ``"apache-2.0"``; put into a card that states none.
        recipe: how it was trained; by default what the folder's own ``recipe.json`` says.
        measurements: metrics with intervals, of `read_measurements`.
        image: photo to draw poses on; by default one that is generated.
        boxes_xyxy: of the persons on it; the whole image by default.
    """

    license: str | None = None
    recipe: str | None = None
    measurements: tuple[Measurement, ...] = ()
    image: str | Path | None = None
    boxes_xyxy: Sequence[Sequence[float]] | None = None


def push(
    name: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
    facts: Facts = Facts(),
) -> str:
    """Upload a model or an ensemble with its card to the Hub, as one commit.

    What is uploaded is loaded first, strictly, and draws the card's image. Nothing else of the folder is uploaded. A
    card that its maker wrote, and that of a model of the zoo, stays, with the image and the new name put in.

    Args:
        name: a name of the zoo or a folder, as for `load_model` or `Ensemble.load`.
        repo_id: ``owner/name``; made where it does not exist.
        private: whether a new repository is to be private.
        revision: branch; made where it does not exist.
        token: with the right to write; by default the one that was logged in with.
        facts: for a new card.

    Returns:
        The commit's address.

    Raises:
        ValueError: as `load_model`; or if no license is known, or the card states another.
        FileNotFoundError: as `load_model`.
        OSError: if the Hub refuses or cannot be reached.
    """
    with tempfile.TemporaryDirectory() as temporary:
        stage(name, Path(temporary), repo_id, facts)
        return upload_folder(Path(temporary), repo_id, private=private, revision=revision, token=token)


def stage(name: str | Path, target: Path, repo_id: str, facts: Facts = Facts()) -> None:
    """Write what `push` uploads into an empty folder; arguments and errors as there."""
    folder = find_folder(name)
    ensemble = (folder / ENSEMBLE_FILE).is_file()
    files = [CONFIG_FILE, WEIGHTS_FILE]
    if ensemble:
        members = read_ensemble_file(folder / ENSEMBLE_FILE).folders
        files = [ENSEMBLE_FILE, *(f"{member}/{file}" for member in members for file in files)]
    model: PoseModel[Any] | Ensemble = Ensemble.load(folder) if ensemble else load_model(folder)
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, target / file)
    own = _own_card(folder)
    if own is not None and (facts.recipe or facts.measurements):
        raise ValueError(f"{name}: expected no recipe and no metrics beside the card that it has, {CARD_FILE}")
    if own is None and facts.license is None:
        raise ValueError(f"{name}: expected --license, apache-2.0 for example: there is no card that states one")
    own = own if own is None else _with_license(own, facts, name)
    _draw(model, facts).save(target / IMAGE_FILE, quality=90)
    title = repo_id.rpartition("/")[2]
    seen = "a generated image" if facts.image is None else "a photo"
    caption = f"Poses that {title} found on {seen}"
    if own is not None:
        write_text(target / CARD_FILE, _with_image(own, caption, repo_id))
        return
    models = dict.fromkeys(model.members) if isinstance(model, Ensemble) else [model]  # views of one are one network
    card = FolderCard(
        name=title,
        load_as=repo_id,
        parts=tuple(_in_words(each) for each in models if isinstance(each, PoseModel)),
        license=str(facts.license),
        recipe=facts.recipe or _recipe(folder),
        measurements=facts.measurements,
        image=IMAGE_FILE,
        caption=caption,
        ensemble=ensemble,
    )
    write_text(target / CARD_FILE, str(card))


def _own_card(folder: Path) -> str | None:
    """Return the card that lies in a folder, unless it is the one that saving writes."""
    path = folder / CARD_FILE
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return None if not text.strip() or _NOTHING_SAID in text else text


def _with_license(own: str, facts: Facts, name: str | Path) -> str:
    """Return a folder's card with a license: its own, or what the facts say; they must not disagree."""
    card = ModelCard(own, ignore_metadata_errors=True)
    stated = card.data.get("license")
    if stated is None and facts.license is not None:
        card.data["license"] = facts.license
        return str(card)
    if stated is None:
        raise ValueError(f"{name}: expected --license, apache-2.0 for example: its card states none")
    if facts.license not in (None, stated):
        raise ValueError(f"{name}: license: expected {stated!r}, as its card says, found {facts.license!r}")
    return own


def _recipe(folder: Path) -> str:
    """Return the recipe of a training that a folder belongs to, or nothing."""
    for place in (folder, folder.resolve().parent):
        if (place / RECIPE_FILE).is_file():
            return f"`{read_recipe(place)}`"
    return ""


def _draw(model: HeatmapModel, facts: Facts) -> PIL.Image.Image:
    """Draw the poses that a model finds."""
    if facts.image is None:
        (sample,) = SyntheticPoses(count=1, size=Size(width=384, height=512)).image(0)
        image, boxes = open_image(sample.image), sample.box_xyxy[None]
    else:
        image = open_image(facts.image)
        whole = whole_image_box(Size.of(image))
        boxes = whole if facts.boxes_xyxy is None else np.array(facts.boxes_xyxy, dtype=np.float64)
    return PosePredictor(model).predict(image, boxes).draw(image).convert("RGB")


def _with_image(card: str, caption: str, repo_id: str) -> str:
    """Return a card with an image before its first section, unless it has one, and with the name to load by."""
    card = _LOADED.sub(lambda match: f'{match[1]}("{repo_id}")', card)
    if _SHOWN_IMAGE.search(card):
        return card
    section = _HEADING.search(card)
    at = len(card) if section is None else section.start()
    return f"{card[:at].rstrip()}\n\n{drawn_image(IMAGE_FILE, caption)}\n\n{card[at:]}"


def _in_words(model: PoseModel[Any]) -> str:
    config, cost = model.config, measure_cost(model.config)
    return (
        f"{type(model).__name__}: {config.skeleton.num_keypoints} keypoints ({config.skeleton.name}) from a "
        f"{config.input_size} (height x width) crop of one person, {cost.parameters / 1e6:.2f} M parameters, "
        f"{cost.gmacs:.2f} GMACs per crop."
    )
