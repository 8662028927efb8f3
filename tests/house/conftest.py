"""Fixtures of the house tests: the checkout, its modules, and the code that its pages show."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import PIL.Image
import pytest

from pcrpose.cli.main import main
from pcrpose.files.digest import file_sha256
from pcrpose.inference import published_detectors

REPOSITORY = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTSIDE = ("#", "pip ", "make ", "python ", "accelerate ")  # what a page may show and this test does not run


@pytest.fixture
def repository() -> Path:
    """Give the root of the checkout."""
    return REPOSITORY


@pytest.fixture
def run_fences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """Give a function that runs a page in a reader's folder, in order: its Python, and its ``pcrpose`` commands.

    The folder holds what pages ask a reader to have: ``photo.jpg`` and ``yolox_nano.onnx``. The latter's stand-in is in
    the cache, too, as what is downloaded once.
    """

    def run(page: Path) -> int:
        folder = tmp_path / "reader"
        folder.mkdir()
        monkeypatch.chdir(folder)
        PIL.Image.fromarray(np.full((512, 512, 3), 90, dtype=np.uint8)).save("photo.jpg")
        text, names = page.read_text(encoding="utf-8"), {"__name__": "__main__"}
        if "yolox_nano.onnx" in text:
            write_detector(folder / "yolox_nano.onnx")
        if "yolox-nano" in text:
            cache_detector(tmp_path / "assets", monkeypatch)
        fences = list(FENCE.finditer(text))
        for fence in fences:
            if fence[1] == "console":
                run_commands(fence[2])
                continue
            # Empty lines in front: a traceback then shows the page's own line number.
            source = "\n" * text.count("\n", 0, fence.start(2)) + fence[2]
            exec(compile(source, str(page), "exec"), names)  # noqa: S102 - the repository's own pages
        return len(fences)

    return run


def cache_detector(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in of a detector into a cache, as the published ``yolox-nano``."""
    path = assets / "pcrpose" / "detectors" / "yolox_nano.onnx"
    path.parent.mkdir(parents=True)
    write_detector(path)
    published = replace(
        published_detectors.PUBLISHED_DETECTORS["yolox-nano"],
        sha256=file_sha256(path),
        size_bytes=path.stat().st_size,
    )
    others = published_detectors.PUBLISHED_DETECTORS
    monkeypatch.setattr(published_detectors, "PUBLISHED_DETECTORS", {**others, "yolox-nano": published})
    monkeypatch.setattr(huggingface_hub.constants, "HF_ASSETS_CACHE", str(assets))


def run_commands(lines: str) -> None:
    """Run the ``pcrpose`` lines of a page; they have to succeed."""
    for line in lines.replace("\\\n", " ").splitlines():
        if line.startswith("pcrpose "):
            assert main(shlex.split(line, comments=True)[1:]) == 0, line
        else:
            assert not line.strip() or line.startswith(OUTSIDE), f"a page shows a command that nobody tests: {line}"


def write_detector(path: Path) -> None:
    """Write a model with the inputs and outputs of YOLOX-nano that finds one person in every image."""
    onnx = pytest.importorskip("onnx")
    rows = np.zeros((1, 52 * 52 + 26 * 26 + 13 * 13, 85), dtype=np.float32)
    rows[0, 52 * 52 + 26 * 13 + 13, :6] = (0.0, 0.0, np.log(9), np.log(24), 0.9, 1.0)
    value, info = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    gray = onnx.helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0)
    nothing = onnx.helper.make_node("Mul", ["mean", "zero"], ["nothing"])
    answer = onnx.helper.make_node("Add", ["rows", "nothing"], ["output"])
    constants = {"axes": np.arange(4), "zero": np.float32(0.0), "rows": rows}
    graph = onnx.helper.make_graph(
        [gray, nothing, answer],
        "one person",
        [value("images", info, [1, 3, 416, 416])],
        [value("output", info, list(rows.shape))],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
