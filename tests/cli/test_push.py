"""``pcrpose push``: what it hands on; ``tests/models/hub`` sends it to a Hub."""

from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from pcrpose.cli import push as command
from pcrpose.cli.main import main
from pcrpose.publishing.push import Facts


def test_options_are_handed_on(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every option reaches the function; the commit's address is printed."""
    asked: list[Any] = []

    def push(*given: str, **settings: Any) -> str:  # noqa: ANN401 - whatever is handed on
        asked.append((given, settings))
        return "https://commit"

    monkeypatch.setattr(command, "push", push)
    PIL.Image.new("RGB", (40, 40)).save(here / "photo.png")
    arguments = ["--license", "mit", "--recipe", "C", "--image", "photo.png", "--boxes", "1,2,30,40", "--private"]

    assert main(["push", "runs/best", "--repo", "me/mine", "--revision", "old", *arguments]) == 0

    facts = Facts(license="mit", recipe="C", image=Path("photo.png"), boxes_xyxy=[(1, 2, 30, 40)])
    assert asked == [(("runs/best", "me/mine"), {"private": True, "revision": "old", "facts": facts})]
    assert capsys.readouterr().out == "https://commit\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pcr-nano"], "the following arguments are required: --repo"),
        (["pcr-nano", "--repo", "me/mine", "--boxes", "1,2,3,4"], "--boxes: expected with --image"),
        (["pcr-nano", "--repo", "mine"], "repository: expected owner/name, found 'mine'"),
        (["pcr-nan", "--repo", "me/mine"], "did you mean 'pcr-nano'"),
        (["pcr-nano", "--repo", "me/mine", "--metrics", "none.json"], "none.json: expected a file, found none"),
    ],
)
def test_mistakes(arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is one line and exit code 2."""
    assert not list(here.iterdir())

    assert main(["push", *arguments]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
