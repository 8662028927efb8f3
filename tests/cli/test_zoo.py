"""``pcrpose zoo``."""

from pathlib import Path

import pytest

from pcrpose.cli import zoo as zoo_command
from pcrpose.cli.main import main
from pcrpose.models.zoo import PUBLISHED, ZOO, conditions


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Every model is there with its input, size, recipe and metrics."""
    assert main(["zoo"]) == 0

    out = capsys.readouterr().out
    for entry in ZOO.values():
        (row,) = (line for line in out.splitlines() if line.startswith(f"{entry.name} "))
        assert f"{entry.parameters / 1e6:.2f} M" in row
        assert row.endswith(entry.recipe)
        assert entry.input_size in row
        for key, metrics in entry.metrics.items():
            where = ": {}, boxes: {}".format(*conditions(key))
            measured = f"AP {metrics['AP'].value:.3f}, AP50 {metrics['AP50'].value:.3f}, "
            assert any(line.strip().startswith(measured) and line.endswith(where) for line in out.splitlines())


def test_card(capsys: pytest.CaptureFixture[str]) -> None:
    """A card is printed without its head."""
    assert main(["zoo", "pcr-nano"]) == 0

    out = capsys.readouterr().out
    assert out.startswith("# pcr-nano\n")
    assert "## Data and license" in out


@pytest.mark.parametrize("text", ["# plain\n", "---\nnever closed\n"])
def test_card_without_a_head(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A card that has no head is printed as it is."""
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    monkeypatch.setattr(zoo_command, "pretrained_folder", lambda _: tmp_path)

    assert main(["zoo", "pcr-nano"]) == 0

    assert capsys.readouterr().out == text


def test_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown name is answered with the known ones, and the closest."""
    assert main(["zoo", "pcr-nan"]) == 2
    assert "did you mean pcr-nano?" in capsys.readouterr().err
    for name in ("zzz", "banana"):
        assert main(["zoo", name]) == 2
        assert capsys.readouterr().err == f"pcrpose zoo: expected one of {', '.join(ZOO)}, found {name!r}\n"


def test_models_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    """They are listed apart, with whose metrics they are; by its name one says all that is known of it."""
    assert main(["zoo"]) == 0
    listed = capsys.readouterr().out.partition("published by others")[2]

    for name, entry in PUBLISHED.items():
        assert f"\n{name}: {entry.summary}\n    AP {entry.metrics['AP']:.3f}, " in listed
        assert main(["zoo", name]) == 0
        facts = capsys.readouterr().out
        assert "not measured here\n" in facts
        for fact in (entry.revision or "not pinned", entry.data, entry.source, *entry.conditions):
            assert fact in facts
