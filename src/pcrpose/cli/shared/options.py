"""Options of several commands, and argument types that check them before anything slow begins."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.published_detectors import PUBLISHED_DETECTORS, detector_file
from pcrpose.inference.runtime import DTYPES, Runtime, find_device
from pcrpose.models.checkpoints.read import SUFFIXES
from pcrpose.models.ensemble_file import ENSEMBLE_FILE
from pcrpose.models.hub import find_folder, is_local
from pcrpose.models.load import load_model
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.zoo import ZOO

BATCH = 16
DETECTORS = ", ".join(PUBLISHED_DETECTORS)
MODEL = "pcr-small"


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add which models run, where and how; ``options.model`` is a list for `load_models`."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        action=_Several,
        default=[MODEL],
        metavar="NAME",
        help=f'name in the zoo, folder, or owner/name on the Hugging Face Hub ({MODEL}); see "pcrpose zoo"; given '
        "several times, the mean of the models' heatmaps; a saved ensemble is named alone",
    )
    group.add_argument(
        "--device", type=device, default="auto", help="cpu, cuda, cuda:1, mps; by default cuda if there is one, or cpu"
    )
    group.add_argument(
        "--threads",
        type=at_least(1),
        metavar="N",
        help="of the processor, for network and detector; by default as many as torch and onnxruntime choose",
    )
    group.add_argument(
        "--batch", type=at_least(1), default=BATCH, metavar="N", help="persons the network sees at once (%(default)s)"
    )
    group.add_argument("--dtype", choices=DTYPES, help="precision of the network; by default the model's own")
    group.add_argument(
        "--fuse", action="store_true", help="fold batch norms into the convolutions before them: the same poses"
    )
    group.add_argument(
        "--no-flip", dest="flip", action="store_false", help="do without the mirrored crop: twice as fast, less exact"
    )


def runtime(options: argparse.Namespace) -> Runtime:
    """Return how the options of `add_model_options` say to run a model, which is moved to its device by the command."""
    return Runtime(dtype=options.dtype, fuse=options.fuse, batch_size=options.batch, threads=options.threads)


class _Several(argparse.Action):
    """Append to a list; the first value replaces the default."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        _option: str | None = None,
    ) -> None:
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [values] if given is self.default else [*given, values])


def load_models(names: Sequence[str | Path]) -> PoseModel[Any] | Ensemble:
    """Load the model or the saved ensemble that is named, or several models as an `Ensemble`.

    Raises:
        ValueError: as `load_model`, if a model is named twice, if the models do not go together, or for an ensemble
            beside others.
        FileNotFoundError: as `load_model`.
    """
    folders = [find_folder(name).resolve() for name in names]
    for name, folder in zip(names, folders, strict=True):
        if folders.count(folder) > 1:
            raise ValueError(f"--model {name}: expected different models, found it {folders.count(folder)} times")
        if (folder / ENSEMBLE_FILE).is_file():
            if len(names) > 1:
                raise ValueError(f"--model {name}: expected one model beside others, found an ensemble")
            return Ensemble.load(folder)
    models = [load_model(name) for name in names]
    return models[0] if len(models) == 1 else Ensemble(models)


def model_name(text: str) -> str:
    """Read what names a model, a saved one or the zoo's; a file of weights is none, and is refused at once."""
    if Path(text).suffix in SUFFIXES and not Path(text).is_dir():
        try:
            find_folder(text)
        except FileNotFoundError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text


def weights_source(text: str) -> str | Path:
    """Read what leads to weights: a path, or where nothing is there, a name of the zoo or the Hub."""
    local = path(text)
    return text if not local.exists() and (text in ZOO or not is_local(text)) else local


def device(text: str) -> torch.device:
    """Read the name of a device that is there; ``auto`` is the first GPU, or the processor."""
    try:
        return find_device(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def at_least(least: int) -> Callable[[str], int]:
    """Return the argument type of a whole number with a lower limit."""

    def whole_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, found {text!r}")
        return number

    return whole_number


def fraction(text: str) -> float:
    """Read a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text!r}")
    return number


def existing_file(text: str) -> Path:
    """Read the path of a file that is there; ``~`` is the home folder."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text}: expected a file, found {'a folder' if path.is_dir() else 'none'}")
    return path


def detector(text: str) -> Path:
    """Read the path of a detector's file, or the name of a published one, which is downloaded where it is not yet."""
    if Path(text).expanduser().exists():
        return existing_file(text)
    try:
        return detector_file(text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def path(text: str) -> Path:
    """Read a path; ``~`` is the home folder."""
    return Path(text).expanduser()
