"""What is uploaded: files that load, a card with a drawn image, and nothing that its maker did not say."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from huggingface_hub import ModelCard

from pcrpose.inference.ensemble import Ensemble
from pcrpose.models.hub import CONFIG_FILE, WEIGHTS_FILE
from pcrpose.models.pcr import PCR
from pcrpose.models.zoo import pretrained_folder
from pcrpose.publishing import push as push_module
from pcrpose.publishing.measurement import Measurement
from pcrpose.publishing.push import Facts, push, stage
from pcrpose.training.recipe import Recipe, write_recipe

FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def saved(make_model: Callable[[], PCR], tmp_path: Path) -> Path:
    """Save a tiny model."""
    make_model().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """Make an empty folder."""
    (tmp_path / "staged").mkdir()
    return tmp_path / "staged"


def read_card(folder: Path) -> Any:  # noqa: ANN401 - its fields are declared in no class
    """Read the metadata as the Hub does."""
    return ModelCard.load(folder / "README.md").data


def test_a_saved_model(saved: Path, staged: Path, measurement: Measurement) -> None:
    """Both files as they are, an image, and a card with license, recipe and metrics as data; nothing else."""
    (saved / "optimizer.pt").write_bytes(b"secret")

    stage(saved, staged, "me/mine", Facts(license="mit", recipe="`AC->C`, ours", measurements=(measurement,)))

    assert sorted(path.name for path in staged.iterdir()) == ["README.md", CONFIG_FILE, WEIGHTS_FILE, "poses.jpg"]
    assert [(staged / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)] == [
        (saved / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)
    ]
    with PIL.Image.open(staged / "poses.jpg") as drawn:
        assert drawn.size == (384, 512)
    data = read_card(staged)
    assert (data.license, data.model_name, data.library_name) == ("mit", "mine", "pcrpose")
    assert {result.dataset_name for result in data.eval_results} == {measurement.data}
    assert [(result.metric_type, result.metric_value) for result in data.eval_results] == [
        *(("ap", 0.123), ("ap50", 0.4), ("ap75", 0.05), ("ar", 0.2)),
    ]
    text = (staged / "README.md").read_text(encoding="utf-8")
    assert "# mine\n\nPCR: 17 keypoints (COCO_17) from a 96x64 (height x width) crop of one person, " in text
    assert "![Poses that mine found on a generated image](<poses.jpg>)\n" in text
    assert 'load_model("me/mine")' in text
    assert "Recipe: `AC->C`, ours\n" in text
    assert "| subset of COCO val2017 (99 images, 303 persons) | annotated | averaged in | 0.123 (" in text


def test_what_is_not_known_is_not_said(saved: Path, staged: Path, tmp_path: Path) -> None:
    """Without metrics there are none; a recipe of the training that the folder is of is found."""
    recipe = Recipe.parse("AC->C")
    write_recipe(tmp_path, recipe, recipe.stages[0], {})

    stage(saved, staged, "me/mine", Facts(license="mit"))

    assert read_card(staged).eval_results is None
    text = (staged / "README.md").read_text(encoding="utf-8")
    assert "## Results\n\nIts maker has not measured it, or not said so here.\n" in text
    assert "Recipe: `AC->C`\n" in text


def test_a_model_of_the_zoo(staged: Path) -> None:
    """Its card stays, metrics included; an image and the repository's name are put in."""
    stage("pcr-nano", staged, "me/copy")

    theirs, ours = read_card(pretrained_folder("pcr-nano")), read_card(staged)
    assert ours.to_dict() == theirs.to_dict()
    text = (staged / "README.md").read_text(encoding="utf-8")
    assert text.index("![Poses that copy found") < text.index("## Intended use")
    assert (text.count('load_model("me/copy")'), text.count("pcr-nano")) == (1, 2)  # in its title and metadata
    without = text.replace("![Poses that copy found on a generated image](<poses.jpg>)\n\n", "")
    assert without.replace("me/copy", "pcr-nano") == (pretrained_folder("pcr-nano") / "README.md").read_text()


def test_an_ensemble(
    make_model: Callable[[], PCR], staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its list and its members' files; the card names each network once and shows how to load it, in code that runs."""
    Ensemble.augmented(make_model(), paddings=[1.5]).save(tmp_path / "views")

    stage(tmp_path / "views", staged, "me/views", Facts(license="mit"))

    found = sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file())
    assert found == ["README.md", "ensemble.json", f"member-1/{CONFIG_FILE}", f"member-1/{WEIGHTS_FILE}", "poses.jpg"]
    text = (staged / "README.md").read_text(encoding="utf-8")
    assert text.count("- PCR: 17 keypoints") == 1
    (code,) = FENCE.findall(text)
    assert 'Ensemble.load("me/views")' in code
    monkeypatch.chdir(tmp_path)
    PIL.Image.new("RGB", (400, 540), "gray").save("image.jpg")
    exec(code.replace("me/views", "views"), {})  # noqa: S102 - what is tested


def test_a_card_of_ones_own(saved: Path, staged: Path, tmp_path: Path) -> None:
    """It is kept, with its own image, and its license counts; the poses are drawn on the photo in the boxes given."""
    PIL.Image.new("RGB", (80, 60), "gray").save(tmp_path / "photo.png")
    own = '---\nlicense: mit\n---\n\n# Mine\n\n![me](x.png)\n\n`load_model("old")`\n'
    (saved / "README.md").write_text(own, encoding="utf-8")
    photo = Facts(image=tmp_path / "photo.png", boxes_xyxy=[[5, 5, 40, 50]])

    stage(saved, staged, "me/mine", photo)

    assert (staged / "README.md").read_text(encoding="utf-8") == own.replace("old", "me/mine")
    with PIL.Image.open(staged / "poses.jpg") as drawn:
        assert drawn.size == (80, 60)


def test_a_license_is_needed(saved: Path, staged: Path) -> None:
    """None at all, with or without a card, and two that differ are each said in one line."""
    with pytest.raises(ValueError, match=r"saved: expected --license, apache-2\.0 for example: there is no card"):
        stage(saved, staged, "me/mine")
    (saved / "README.md").write_text("# Mine\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"saved: expected --license, apache-2\.0 for example: its card states none"):
        stage(saved, staged, "me/mine")
    with pytest.raises(ValueError, match=r"license: expected 'apache-2\.0', as its card says, found 'mit'"):
        stage("pcr-nano", staged, "me/mine", Facts(license="mit"))


def test_a_card_of_ones_own_gets_a_license(saved: Path, staged: Path) -> None:
    """Where it states none; what else would have to be put in is refused."""
    (saved / "README.md").write_text("---\ntags:\n- mine\n---\n\n# Mine\n", encoding="utf-8")

    stage(saved, staged, "me/mine", Facts(license="mit"))

    assert (read_card(staged).license, read_card(staged).tags) == ("mit", ["mine"])
    assert "# Mine\n\n![Poses that mine found" in (staged / "README.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected no recipe and no metrics beside the card that it has, README\.md"):
        stage(saved, staged, "me/mine", Facts(license="mit", recipe="C"))


def test_what_does_not_load_is_not_pushed(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged weights, or a name that is no repository's, end before anything is sent."""
    uploads: list[Any] = []
    monkeypatch.setattr(push_module, "upload_folder", lambda *given, **settings: uploads.append((given, settings)))
    (saved / WEIGHTS_FILE).write_bytes(b"nothing")

    with pytest.raises(ValueError, match="damaged"):
        push(saved, "me/mine", facts=Facts(license="mit"))
    assert uploads == []
    monkeypatch.undo()
    with pytest.raises(ValueError, match="repository: expected owner/name, found 'mine'"):
        push("pcr-nano", "mine")
