"""How a model is run: device, precision, batch size and threads."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from pcrpose.files.checks import at_least
from pcrpose.models.pose_model import HeatmapModel


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """How a `PosePredictor` runs its model.

    Attributes:
        device: to compute on, ``"cuda:1"`` for example, or ``"auto"``: a GPU if there is one; None stays where the
            model is.
        dtype: of the weights and crops, a floating-point type; None keeps the model's. Heatmaps are decoded in float32
            at least.
        batch_size: crops per forward pass. Memory grows with it, not with the number of persons or images.
        threads: of the processor, while the model runs; None keeps torch's setting.

    Raises:
        ValueError: if the device is not there, or another value is out of its range.
    """

    device: torch.device | str | None = None
    dtype: torch.dtype | None = None
    batch_size: int = 16
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.device is not None:
            try:
                find_device(str(self.device))
            except ValueError as error:
                raise ValueError(f"device: {error}") from error
        if self.dtype is not None and not (isinstance(self.dtype, torch.dtype) and self.dtype.is_floating_point):
            raise ValueError(f"dtype: expected a floating-point type such as torch.float16, found {self.dtype!r}")
        _whole("batch_size", self.batch_size)
        if self.threads is not None:
            _whole("threads", self.threads)


def place(model: HeatmapModel, runtime: Runtime) -> HeatmapModel:
    """Return the model on the device and in the precision asked for, in evaluation mode.

    A module that has to be changed for it is copied, so that the caller's stays as it is; any other is returned
    itself. What is no module is taken to be where it should.
    """
    if not isinstance(model, nn.Module):
        return model
    model.eval()
    device, dtype = _whereabouts(model)
    if runtime.device is not None:
        device = torch.empty(0, device=find_device(str(runtime.device))).device  # "cuda" becomes "cuda:0"
    dtype = runtime.dtype or dtype
    if (device, dtype) == _whereabouts(model):
        return model
    return copy.deepcopy(model).to(device=device, dtype=dtype)


def input_of(model: HeatmapModel, runtime: Runtime) -> tuple[torch.device, torch.dtype]:
    """Return the device and the type that the crops of a model must have which `place` returned."""
    if isinstance(model, nn.Module):
        return _whereabouts(model)
    return find_device(str(runtime.device or "cpu")), runtime.dtype or torch.float32


@contextlib.contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Compute with as many threads inside, unless None, and as before afterwards."""
    before = torch.get_num_threads()
    if count in {None, before}:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def find_device(name: str) -> torch.device:
    """Return the device of a name such as ``cuda:0``; ``auto`` is the first GPU, or the processor.

    Raises:
        ValueError: if there is no such device here; the message lists those there are.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"expected auto, cpu, cuda, cuda:0 or mps, found {name!r}") from error
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (found.index or 0) >= counts.get(found.type, 0):
        there = [kind if count == 1 else f"{kind}:0 to {count - 1}" for kind, count in counts.items() if count]
        raise ValueError(f"{name!r} is not here; torch finds {', '.join(there)}")
    return found


def _whole(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name}: expected a whole number, found {value!r:.80}")  # noqa: TRY004 - as other values
    at_least(name, value, 1)


def _whereabouts(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return where and in what precision the weights are held."""
    for parameter in model.parameters():
        return parameter.device, parameter.dtype
    return torch.device("cpu"), torch.float32
