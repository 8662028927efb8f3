"""``pcrpose train-recipe``: data by letter, a network to start from, a model of the last stage."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from pcrpose.cli import train_recipe
from pcrpose.cli.main import main
from pcrpose.cli.train_recipe import read_network
from pcrpose.data.readers.negatives import Negative, write_negatives
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, Skeleton
from pcrpose.models.load import load_model
from pcrpose.models.paper_tables import TABLE_3
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.training.recipe import read_recipe
from pcrpose.training.start import Weights

Command: TypeAlias = Callable[..., int]
Asked: TypeAlias = dict[str, Any]

CONFIG = PCRConfig(
    encoder="resnet_nano",
    channels=(8, 8, 8),
    se_norm="none",
    input_size=Size(width=32, height=64),
    sigma=6.0,
    heatmaps="probability",
)
ALL = ("A", "C", "H", "U")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Leave the library's logging as it was."""
    logger = logging.getLogger("pcrpose")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def data(here: Path) -> Callable[[str], list[str]]:
    """Draw eight people for each letter, A's in AI Challenger's keypoints; give the arguments of some letters."""
    files = {letter: write_synthetic_coco(here / letter, 8, seed=place) for place, letter in enumerate("CUA")}
    content = json.loads(files["A"].read_text())
    content["categories"][0].update(keypoints=list(AIC_14.keypoints), skeleton=[])
    for entry in content["annotations"]:
        points = np.reshape(entry["keypoints"], (17, 3))
        entry["keypoints"] = COCO_17.convert(points.astype(float), AIC_14).ravel().tolist()
    files["A"].write_text(json.dumps(content))
    negatives = [
        Negative(image_id=number, file_name=f"00000{number}.png", bbox=(2, 2, 30, 40), score=0.7, verified=seen)
        for number, seen in enumerate((True, None, None))
    ]
    files["H"] = here / "C/negatives.json"
    write_negatives(files["H"], negatives, {})

    def arguments(letters: str) -> list[str]:
        each = [["--data", letter, str(files[letter]), str(files[letter].parent / "images")] for letter in letters]
        return [argument for part in each for argument in part]

    return arguments


@pytest.fixture
def start(here: Path) -> str:
    """Save a tiny model."""
    torch.manual_seed(3)
    PCR(CONFIG).save_pretrained(here / "start")
    return "start"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """Collect what would be run."""
    calls: list[Asked] = []

    def note(recipe: Any, sources: Any, config: Any, out: Path, **options: Any) -> Path:  # noqa: ANN401 - whatever comes
        calls.append({"recipe": str(recipe), "sources": sources, "config": config, "out": out, **options})
        return out / "stage-9" / "final"

    monkeypatch.setattr(train_recipe, "run_recipe", note)
    return calls


@pytest.fixture
def train(data: Callable[[str], list[str]]) -> Command:
    """Run the command with a recipe and the data of its letters."""

    def run(recipe: str, *options: str, letters: str | None = None) -> int:
        given = data("".join(letter for letter in ALL if letter in (recipe if letters is None else letters)))
        return main(["train-recipe", recipe, *given, "--out", "run", "--workers", "0", *options])

    return run


def test_all_letters_in_two_stages(train: Command, start: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last stage's model is the result; the same command again finds nothing to do, a longer one is refused."""
    val = write_synthetic_coco(here / "val", 2, seed=9)
    options = ["--start", start, "--epochs", "2", "--batch", "4", "--per-epoch", "U=4", "--val", "val/annotations.json"]
    options.append(str(val.parent / "images"))

    assert train("ACHU->CH", *options) == 0

    captured = capsys.readouterr()
    model = Path("run/stage-2-CH/best")
    assert captured.out.startswith("best AP 0.")
    assert f"the model is in {model}\n" in captured.out
    assert load_model(model).config == CONFIG
    assert str(read_recipe("run/stage-2-CH/final")) == "ACHU->CH"
    noted = json.loads(Path("run/stage-1-ACHU/recipe.json").read_text())
    assert noted["per_epoch"] == {"A": 8, "C": 8, "H": 2, "U": 4}
    assert noted["initial_model"]["name"] == "start"
    assert "ACHU->CH: stage 2 of 2, samples of an epoch: 8 of 8 from C, 1 of 3 from H" in captured.err
    assert "info: step 10 of 10: loss" in captured.err
    log = Path("run/stage-2-CH/log.jsonl").read_text()

    assert train("ACHU->CH", *options) == 0
    told = capsys.readouterr().out
    assert told.startswith("this training is finished: 2 of 2 stages, 2 + 1 epochs; nothing was left to do\n")
    assert "--start run/stage-2-CH/final --out ANOTHER" in told
    assert Path("run/stage-2-CH/log.jsonl").read_text() == log
    assert train("ACHU->CH", *options, "--fine-tune-epochs", "2") == 2
    assert "stage-2-CH: holds a training of 1 epochs, found 2" in capsys.readouterr().err


def test_from_the_beginning_with_an_encoder(train: Command, start: str) -> None:
    """Only the encoder of the file is taken; A alone predicts its own keypoints, C those of the network."""
    options = ["--network", start, "--encoder", start, "--epochs", "1", "--batch", "8", "--learning-rate", "1e-30"]

    assert train("A->C", *options) == 0

    first, last = load_model("run/stage-1-A/final"), load_model("run/stage-2-C/final")
    given = load_model(start).state_dict()
    assert first.config == replace(CONFIG, skeleton=AIC_14)
    assert last.config == CONFIG
    assert torch.allclose(last.state_dict()["encoder.conv1.weight"], given["encoder.conv1.weight"])
    decoder = next(name for name in given if name.startswith("decoders") and name.endswith("weight"))
    assert not torch.allclose(first.state_dict()[decoder], given[decoder])
    noted = json.loads(Path("run/stage-1-A/recipe.json").read_text())
    assert (noted["initial_encoder"]["name"], noted["initial_model"]) == ("start", None)


def test_a_pretrained_model_is_trained_on_as_by_one_file(train: Command, start: str, asked: list[Asked]) -> None:
    """Frozen statistics, averaged weights, a cosine; the stages after the first are a tenth as long and as fast."""
    assert train("CHU->CH", "--start", start, "--batch", "8", "--seed", "4", "--no-mirror") == 0

    (call,) = asked
    base, later = call["configs"]
    assert (call["recipe"], call["config"], call["out"]) == ("CHU->CH", CONFIG, Path("run"))
    assert (call["start"], call["validate"]) == (Weights(start), None)
    assert (base.epochs, base.batch_size, base.learning_rate, base.schedule) == (30, 8, 1e-3, "cosine")
    assert (base.freeze_statistics, base.ema_decay, base.loss, base.seed) == (True, 0.99, "cross_entropy", 4)
    assert (base.validate_every_epochs, base.warmup_steps) == (3, 6)
    assert (later.epochs, later.learning_rate, later.warmup_steps) == (3, pytest.approx(1e-4), 0)
    assert (later.validate_every_epochs, later.log_every_steps) == (1, 1)
    sources = call["sources"]
    assert list(sources) == ["C", "H", "U"]
    assert [len(source.samples) for source in sources.values()] == [8, 3, 8]
    assert [source.cache for source in sources.values()] == ["decoded", "none", "decoded"]
    assert all(sample.is_background for sample in sources["H"].samples)
    for source in sources.values():
        assert (source.augmentation.mirror_probability, source.augmentation.color_jitter) == (0, 0.2)


def test_large_images_are_decoded_smaller(train: Command, asked: list[Asked]) -> None:
    """Every letter's, and none is kept in memory whole."""
    assert train("CHU->CH", "--reduce-jpegs") == 0

    sources = asked[0]["sources"].values()
    assert [source.cache for source in sources] == ["reduced"] * 3


def test_a_network_of_the_paper_is_trained_as_its_baselines(train: Command, asked: list[Asked]) -> None:
    """210 epochs in steps, then 20; a batch is no larger than what the smallest stage has."""
    assert train("AC->C", "--network", "PCR (R50), SE + HDC + AD", "--size", "128x96") == 0

    (call,) = asked
    base, later = call["configs"]
    assert call["config"] == replace(TABLE_3["PCR (R50), SE + HDC + AD"], input_size=Size(width=96, height=128))
    assert call["start"] is None
    assert (base.epochs, base.batch_size, base.schedule, base.loss) == (210, 8, "step", "squared_error")
    assert (base.freeze_statistics, base.ema_decay, base.warmup_steps) == (False, 0, 0)
    assert (later.epochs, later.learning_rate, later.milestones) == (20, pytest.approx(1e-4), (0.75,))
    assert call["sources"]["A"].skeleton == AIC_14
    assert call["sources"]["A"].augmentation.color_jitter == 0
    assert base.log_every_steps == 21
    assert later.log_every_steps == 1


def test_one_stage(train: Command, start: str, asked: list[Asked]) -> None:
    """It has no fine-tuning; the options of a training are the same."""
    options = "--epochs 5 --precision bf16 --learning-rate 0.002 --per-epoch H=3 --per-epoch C=40 --verified-only"

    assert train("CH", "--start", start, *options.split()) == 0

    (call,) = asked
    (base,) = call["configs"]
    assert (base.epochs, base.precision, base.learning_rate, base.batch_size) == (5, "bf16", 0.002, 32)
    assert {letter: source.per_epoch for letter, source in call["sources"].items()} == {"C": 40, "H": 3}
    assert len(call["sources"]["H"].samples) == 1


def test_stages_after_the_first_may_be_longer(train: Command, start: str, asked: list[Asked]) -> None:
    """By an option of their own."""
    assert train("C->C->C", "--start", start, "--epochs", "4", "--fine-tune-epochs", "7") == 0
    assert [config.epochs for config in asked[0]["configs"]] == [4, 7]


def test_keypoints_of_ones_own(
    train: Command, start: str, asked: list[Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    """The model learns the main data's keypoints; a skeleton that is given is theirs alone."""
    mine = Skeleton("mine", COCO_17.keypoints, COCO_17.flip_pairs, [], [0.05] * 17)
    Path("mine.json").write_text(json.dumps(mine.to_dict()))
    assert train("AC", "--start", start, "--skeleton", "mine.json") == 0
    assert asked[0]["config"].skeleton == asked[0]["sources"]["C"].skeleton == mine
    assert asked[0]["sources"]["A"].skeleton == AIC_14
    assert train("U", "--start", start, "--skeleton", "mine.json") == 0
    assert asked[1]["config"].skeleton == mine

    assert train("A", "--start", start) == 0
    assert asked[2]["config"] == replace(CONFIG, skeleton=AIC_14)
    assert train("A", "--start", start, "--skeleton", "mine.json") == 2
    assert "--data A: " in capsys.readouterr().err


def test_what_is_measured_on(train: Command, start: str, asked: list[Asked], here: Path) -> None:
    """Annotations of the last stage's keypoints; images that are trained on too are told."""
    write_synthetic_coco(here / "val", 2, seed=9)
    assert train("A->C", "--start", start, "--val", "val/annotations.json", "val/images") == 0

    assert asked[0]["validate"].dataset.skeleton.keypoints == COCO_17.keypoints
    assert len(asked[0]["validate"].dataset.samples) == 2


def test_the_doctor_looks_at_the_main_data(
    train: Command, start: str, asked: list[Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    """What it calls an error is a warning, as with one annotation file."""
    assert train("CU", "--start", start, "--val", "C/annotations.json", "C/images") == 0

    assert "images that the other file has too" in capsys.readouterr().err
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("AC->H", [], "argument RECIPE: recipe 'AC->H', stage 2: expected A or C beside H"),
        ("CX", [], "found 'X'"),
        ("C", ["--start", "start", "--network", "start"], "--start, whose weights are trained on, or --network"),
        ("C", ["--encoder", "start"], "--encoder: expected with --network"),
        ("C", ["--network", "start", "--encoder", "none.pth"], "--encoder none.pth: expected a file of weights"),
        ("C", ["--network", "PCR (R50)"], "PCR (R50), SE"),
        ("C", ["--start", "hourglass"], "'hourglass' is no folder"),
        ("C", ["--fine-tune-epochs", "3"], "expected a recipe of several stages, found C"),
        ("C", ["--per-epoch", "5"], "argument --per-epoch: expected one of A, C, H, U, = and a value, found '5'"),
        ("C", ["--per-epoch", "C=0"], "argument --per-epoch: expected a whole number of at least 1"),
    ],
)
def test_mistakes(
    recipe: str,
    options: list[str],
    message: str,
    train: Command,
    start: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A mistake ends in exit code 2 and a line that says what to do, before anything is trained."""
    assert Path(start).is_dir()
    assert train(recipe, *options) == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


def test_the_plain_form_still_needs_its_arguments(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a recipe both are asked for, wherever they stand."""
    path = write_synthetic_coco(here, 2)
    assert main(["train", "--out", "run"]) == 2
    assert "required: ANNOTATIONS.json, IMAGES" in capsys.readouterr().err
    assert main(["train", str(path), "--out", "run"]) == 2
    assert "required: IMAGES" in capsys.readouterr().err
    assert main(["train", str(path), "--out", "run", "none"]) == 2
    assert "none: expected the folder of the images" in capsys.readouterr().err


def test_a_networks_configuration(start: str) -> None:
    """By a name of the tables, or a saved model's without its weights."""
    (Path(start) / "model.safetensors").unlink()

    assert read_network(start) == CONFIG
    assert read_network("HRNet-W32") == TABLE_3["HRNet-W32"]
    assert read_network("pcr-nano").heatmaps == "probability"
    config = json.loads(Path(start, "config.json").read_text())
    Path(start, "config.json").write_text(json.dumps(config | {"architecture": "Hourglass"}))
    with pytest.raises(ValueError, match="found the architecture 'Hourglass'"):
        read_network(start)
