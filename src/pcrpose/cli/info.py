"""``pcrpose info``: installed versions and devices, or facts about a model."""

import argparse
import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

import torch

from pcrpose.cli.shared.options import load_models
from pcrpose.files.extras import install_command
from pcrpose.inference.ensemble import Ensemble
from pcrpose.models.deeppose import DeepPoseConfig
from pcrpose.models.flops import measure_cost
from pcrpose.models.pose_config import FINEST_STRIDE
from pcrpose.models.zoo import PUBLISHED, ZOO, PublishedEntry, ZooEntry, conditions

EPILOG = """\
examples:
  pcrpose info
  pcrpose info pcr-nano

exit codes: 0 all is well; 2 there is no such model
"""
_HIDDEN = ("dev", "docs", "export", "video")  # for developers, or for what is not there yet
_REQUIREMENT = re.compile(r"""(?P<package>[\w.-]+).*extra == ['"](?P<extra>[\w-]+)['"]""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("model", nargs="?", metavar="MODEL", help="name in the zoo, folder, or owner/name on the Hub")


def run(options: argparse.Namespace) -> int:
    """Print facts, one per line."""
    facts = _of_installation() if options.model is None else _of_model(options.model)
    sys.stdout.write("".join(f"{name:<16} {value}\n" for name, value in facts))
    return 0


def _of_installation() -> Iterator[tuple[str, str]]:
    yield "pcrpose", version("pcrpose")
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "torch", f"{torch.__version__}, {torch.get_num_threads()} threads"
    yield "devices", ", ".join(_devices())
    for extra, packages in _extras().items():
        found = {package: _version(package) for package in packages}
        if None in found.values():
            yield f"extra {extra}", f"not here: {install_command(extra)}"
        else:
            yield f"extra {extra}", ", ".join(f"{package} {number}" for package, number in found.items())


def _devices() -> Iterator[str]:
    yield "cpu"
    for index in range(torch.cuda.device_count()):
        yield f"cuda:{index} ({torch.cuda.get_device_name(index)})"
    if torch.backends.mps.is_available():
        yield "mps"


def _extras() -> dict[str, list[str]]:
    """List the packages of each extra that is for users, as the installed package declares them."""
    extras: dict[str, list[str]] = {}
    for requirement in requires("pcrpose") or ():
        match = _REQUIREMENT.match(requirement)
        if match is not None and match["extra"] not in _HIDDEN:
            extras.setdefault(match["extra"], []).append(match["package"])
    return extras


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _of_model(name: str) -> Iterator[tuple[str, str]]:
    model = load_models([name])
    if isinstance(model, Ensemble):
        yield from _of_ensemble(model)
        return
    config = model.config
    cost = measure_cost(config)
    yield "architecture", type(model).__name__
    yield "encoder", str(getattr(config, "encoder", "its own"))
    black = "" if config.blackout is None else f", black beyond {config.blackout:g} times"
    blue = ", channels in the order blue, green, red" if config.channel_order == "bgr" else ""
    yield "input", f"{config.input_size} (height x width), boxes enlarged {config.padding:g} times{black}{blue}"
    yield "keypoints", f"{config.skeleton.num_keypoints} of {config.skeleton.name}"
    yield "", ", ".join(config.skeleton.keypoints)
    yield "parameters", f"{cost.parameters:,} ({cost.parameters / 1e6:.2f} M)"
    yield "GMACs", f"{cost.gmacs:.3f} per crop, twice that with its mirror image"
    if isinstance(config, DeepPoseConfig):
        yield "output", "coordinates; it has no heatmaps, and every keypoint scores 1"
    else:
        yield "heatmaps", f"{config.heatmaps}, one cell for {FINEST_STRIDE} pixels, sigma {config.sigma:g} pixels"
    yield "alignment", config.alignment
    if name in ZOO:
        yield from _of_entry(ZOO[name])
    if name in PUBLISHED:
        yield from _of_published(PUBLISHED[name])


def _of_ensemble(ensemble: Ensemble) -> Iterator[tuple[str, str]]:
    mirrored = ", and of their mirror images'" if ensemble.mirrored else ""
    yield "architecture", f"Ensemble: the mean of {len(ensemble.members)} models' heatmaps{mirrored}"
    for number, config in enumerate(ensemble.configs, start=1):
        network = type(ensemble.members[number - 1]).__name__
        weight = f"{ensemble.weights[number - 1]:g}"
        seen = f"{config.input_size} (height x width), boxes enlarged {config.padding:g} times"
        yield f"member {number}", f"{network}, weight {weight}, {seen}"
    yield "keypoints", f"{ensemble.config.skeleton.num_keypoints} of {ensemble.config.skeleton.name}"
    count = sum(parameter.numel() for parameter in ensemble.parameters())
    yield "parameters", f"{count:,} ({count / 1e6:.2f} M)"


def _of_entry(entry: ZooEntry) -> Iterator[tuple[str, str]]:
    yield "recipe", entry.recipe
    yield "weights", entry.license
    for key, metrics in entry.metrics.items():
        yield "measured on", "{}, boxes: {}".format(*conditions(key))
        for name, metric in metrics.items():
            yield f"  {name}", str(metric)


def _of_published(entry: PublishedEntry) -> Iterator[tuple[str, str]]:
    yield "weights", entry.license
    yield "published for", f"{entry.conditions.data}, boxes: {entry.conditions.boxes}; not measured here"
    for name, value in entry.metrics.items():
        yield f"  {name}", f"{value:.3f}"
    yield "source", entry.source
