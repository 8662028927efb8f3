"""``pcrpose evaluate`` on drawn people."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.cli import evaluate as evaluate_module
from pcrpose.cli.main import main
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.files.extras import install_command
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.detections import Detections
from pcrpose.models.pcr import PCR

Command = Callable[..., int]
Reader = Callable[[str], dict[str, Any]]


@pytest.fixture
def annotations(here: Path) -> Path:
    """Draw a data set of four images with a person each."""
    return write_synthetic_coco(here, count=4, seed=1)


@pytest.fixture
def evaluate(model_folder: Path, annotations: Path) -> Command:
    """Run ``pcrpose evaluate`` with the small network on the drawn data set."""

    def run(*arguments: str | Path) -> int:
        fixed = ["--model", str(model_folder), "--device", "cpu", "--no-flip"]
        return main(["evaluate", str(annotations), "images", *fixed, *map(str, arguments)])

    return run


@pytest.fixture
def perfect(annotations: Path) -> Path:
    """Write the annotations as results."""
    persons = json.loads(annotations.read_text(encoding="utf-8"))["annotations"]
    results = [
        {"image_id": person["image_id"], "category_id": 1, "keypoints": person["keypoints"], "score": 0.9}
        for person in persons
    ]
    path = annotations.with_name("perfect.json")
    path.write_text(json.dumps(results), encoding="utf-8")
    return path


def test_figures(evaluate: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """The ten figures come by name in COCO's order, under what they were measured on."""
    assert evaluate() == 0

    captured = capsys.readouterr()
    title, counts, *figures = captured.out.splitlines()
    assert title.endswith("annotations.json, annotated boxes")
    assert counts == "4 images, 4 persons, 4 poses"
    assert [line.rsplit(maxsplit=1)[0] for line in figures] == [
        *("AP", "AP50", "AP75", "AP medium", "AP large"),
        *("AR", "AR50", "AR75", "AR medium", "AR large"),
    ]
    assert captured.err.startswith("poses: 4/4 images, 4 persons, ")


def test_files(evaluate: Command, annotations: Path, read_record: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    """Results and figures are written, and the results file measures like the model."""
    assert evaluate("--results", "also/poses.json", "--json", "new/figures.json", "--bootstrap", "20") == 0

    out = capsys.readouterr().out
    figures = read_record("new/figures.json")
    assert list(figures)[3:6] == ["ap", "ap50", "ap75"]
    low, high = figures["intervals"]["ap"]
    assert low <= figures["ap"] <= high
    assert f"AP         {figures['ap']:6.3f}  ({low:.3f} to {high:.3f})\n" in out
    assert "20 resamples" in out
    assert main(["evaluate", str(annotations), "--from-results", "also/poses.json", "--json", "again.json"]) == 0
    assert read_record("again.json")["ap"] == pytest.approx(figures["ap"])


def test_several_models(evaluate: Command, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Models are measured together, under both names."""
    PCR.from_pretrained(model_folder).save_pretrained("other")

    assert evaluate("--model", "other") == 0
    assert capsys.readouterr().out.startswith(f"{model_folder} + other on ")


def test_perfect_results(annotations: Path, perfect: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Annotations as results are perfect."""
    assert main(["evaluate", str(annotations), "--from-results", str(perfect)]) == 0

    out = capsys.readouterr().out
    assert "AP          1.000\n" in out
    assert "AR large    1.000\n" in out


def boxes_of(annotations: Path) -> Floats:
    """Collect the annotated boxes, one of each image."""
    return np.array([sample.box_xyxy for sample in read_coco(annotations, "images").samples])


def test_detections(evaluate: Command, annotations: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a detection file its boxes are used, all of them."""
    boxes = boxes_of(annotations)[:2].tolist()
    detections = [
        {"image_id": image_id, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": 0.01}
        for image_id, (x1, y1, x2, y2) in enumerate(boxes)
    ]
    Path("found.json").write_text(json.dumps(detections), encoding="utf-8")

    assert evaluate("--detections", "found.json") == 0

    out = capsys.readouterr().out
    assert "annotations.json, boxes of found.json\n4 images, 4 persons, 2 poses\n" in out


def test_detector(
    evaluate: Command, annotations: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A detector is run over all images first."""
    boxes = iter(boxes_of(annotations))

    class Detector:
        def __init__(self, path: Path, *, score_threshold: float, num_threads: int | None) -> None:
            assert (path.name, score_threshold, num_threads) == ("model.onnx", 0.25, None)

        def __call__(self, _: Image) -> Detections:
            return Detections([next(boxes)], [0.5])

    monkeypatch.setattr(evaluate_module, "YoloxDetector", Detector)
    Path("model.onnx").touch()

    assert evaluate("--detector", "model.onnx", "--score-threshold", "0.25") == 0

    captured = capsys.readouterr()
    assert "boxes that model.onnx scores at least 0.25\n4 images, 4 persons, 4 poses\n" in captured.out
    assert [line.split(":")[0] for line in captured.err.splitlines()] == ["boxes", "poses"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["annotations.json"], "expected the folder of the images"),
        (["annotations.json", "elsewhere"], "4 of 4 images are missing"),
        (["nothing.json", "images"], "nothing.json: expected a file, found none"),
        (["perfect.json", "images"], "expected a COCO annotation object"),
        (["annotations.json", "images", "--from-results", "perfect.json"], "IMAGES needs a model's own poses"),
        (["annotations.json", "--from-results", "perfect.json", "--bootstrap", "9"], "--bootstrap needs a model"),
        (["annotations.json", "--from-results", "annotations.json"], "expected a list of results"),
        (["annotations.json", "images", "--decode", "guess"], "guess"),
        (["annotations.json", "images", "--bootstrap", "0"], "at least 1"),
        (["annotations.json", "images", "--model", "pcr-nan"], "pcr-nano"),
    ],
)
@pytest.mark.usefixtures("perfect")
def test_mistakes(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake is named, ends with 2, and gives no figures."""
    assert main(["evaluate", *arguments]) == 2

    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_decoding(evaluate: Command, read_record: Reader) -> None:
    """The decoding asked for is used."""
    assert evaluate("--results", "dark.json") == 0
    assert evaluate("--decode", "argmax", "--results", "argmax.json") == 0

    assert read_record("dark.json") != read_record("argmax.json")


def test_report(evaluate: Command, read_record: Reader, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page holds the metrics that are printed, with the intervals that were asked for, and draws persons."""
    assert evaluate("--report", "new/report.html", "--bootstrap", "10", "--json", "metrics.json") == 0

    assert capsys.readouterr().out.endswith("\nwrote new/report.html\n")
    page = Path("new/report.html").read_text(encoding="utf-8")
    low, high = read_record("metrics.json")["intervals"]["ar"]
    assert f"<td>{low:.3f} to {high:.3f}</td>" in page
    assert "<dd>annotated boxes</dd>" in page
    assert page.count("data:image/jpeg") == 2 * 4
    assert "000000.png" in page
    assert str(here) not in page


def test_report_is_checked_first(
    evaluate: Command, annotations: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is there, a results file as the source, and a missing extra are refused before a model runs."""
    monkeypatch.setattr(evaluate_module, "load_models", None)
    Path("taken.html").touch()

    assert evaluate("--report", "taken.html") == 2
    assert "taken.html: expected the name of a new file, found one that is there" in capsys.readouterr().err
    assert main(["evaluate", str(annotations), "--from-results", str(annotations), "--report", "r.html"]) == 2
    assert "--report needs a model's own poses" in capsys.readouterr().err
    monkeypatch.setattr("pcrpose.evaluation.report.plots.find_spec", lambda _: None)
    assert evaluate("--report", "r.html") == 2
    assert f"a report needs matplotlib: {install_command('report')}" in capsys.readouterr().err
