"""The demo: what it writes, and what it says when something is wrong."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

from pcrpose.keypoints.poses import Poses


@pytest.fixture
def demo(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[list[str]], int]:
    """Load the script and run it in an empty folder."""
    spec = importlib.util.spec_from_file_location("demo", repository / "examples" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.chdir(tmp_path)
    run: Callable[[list[str]], int] = script.main
    return run


def test_astronaut(demo: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments it draws the astronaut and writes poses that load again; nothing else is left behind."""
    pytest.importorskip("skimage")

    assert demo([]) == 0

    written = Poses.from_dict(json.loads(Path("demo/poses.json").read_text(encoding="utf-8")))
    assert len(written) == 1
    with PIL.Image.open("demo/poses.png") as drawn:
        assert drawn.size == (512, 512)
    assert sorted(path.name for path in Path("demo").iterdir()) == ["poses.json", "poses.png"]
    assert "demo/poses.png" in capsys.readouterr().out


def test_boxes_of_a_image(demo: Callable[[list[str]], int]) -> None:
    """One pose a box, in the order given; without boxes the whole image is one person."""
    PIL.Image.new("RGB", (120, 90), "gray").save("gray.png")

    assert demo(["gray.png", "--boxes", "5,5,50,80", "--boxes", "60,5,110,80", "--output", "two"]) == 0
    assert demo(["gray.png", "--output", "one"]) == 0

    two, one = (Poses.from_dict(json.loads(Path(name, "poses.json").read_text())) for name in ("two", "one"))
    assert two.boxes_xyxy.tolist() == [[5, 5, 50, 80], [60, 5, 110, 80]]
    assert one.boxes_xyxy.tolist() == [[0, 0, 119, 89]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.jpg"], "missing.jpg"),
        (["notes.txt"], "expected an image"),
        (["empty.png"], "0 bytes"),
        (["gray.png", "--boxes", "1,2,3"], "expected four numbers"),
        (["gray.png", "--boxes", "9,9,4,4"], "expected x1 < x2"),
        (["gray.png", "--boxes", "900,9,940,40"], "outside"),
        (["gray.png", "--model", "pcr-nan"], "pcr-nano"),
        (["gray.png", "--output", "notes.txt"], "notes.txt"),
    ],
)
def test_mistakes(
    demo: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """A mistake gives one line that says what is wrong, exit code 2, and no half-written files."""
    PIL.Image.new("RGB", (120, 90), "gray").save("gray.png")
    Path("notes.txt").write_text("not an image", encoding="utf-8")
    Path("empty.png").touch()

    assert demo(arguments) == 2

    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("demo").exists()
