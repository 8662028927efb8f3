"""How a model is run: device, precision, folded or compiled, batch size and threads."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pcrpose.files.checks import at_least
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.fold import fold_batch_norms
from pcrpose.models.pose_model import HeatmapModel

DTYPES = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """How a `PosePredictor` runs its model.

    Attributes:
        device: to compute on, ``"cuda:1"`` for example, or ``"auto"``: a GPU if there is one; None stays where the
            model is.
        dtype: of the weights and crops, a floating-point type or its name, ``"bfloat16"`` for example; None keeps the
            model's. Heatmaps are decoded in float32 at least.
        fuse: fold batch norms into the convolutions before them, in a copy of the model that does not follow later
            changes to yours. Heatmaps are the same to 1e-5 of their range.
        compile: compile a copy of the model with ``torch.compile``. Takes up to minutes, when the predictor is made and
            again for the first batches of other sizes; it is for long runs. A processor needs a C++ compiler for it.
        batch_size: crops per forward pass. Memory grows with it, not with the number of persons or images.
        threads: of the processor, while the model runs; None keeps torch's setting.

    A model that is no ``nn.Module`` runs as it is.

    Raises:
        ValueError: if the device is not there, or another value is out of its range.
    """

    device: torch.device | str | None = None
    dtype: torch.dtype | str | None = None
    fuse: bool = False
    compile: bool = False
    batch_size: int = 16
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.device is not None:
            try:
                find_device(str(self.device))
            except ValueError as error:
                raise ValueError(f"device: {error}") from error
        object.__setattr__(self, "dtype", _floating_point(self.dtype))
        for name in ("fuse", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}: expected True or False, found {getattr(self, name)!r:.80}")  # noqa: TRY004
        _whole("batch_size", self.batch_size)
        if self.threads is not None:
            _whole("threads", self.threads)

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """The type that was asked for by value or name."""
        return _floating_point(self.dtype)


def place(model: HeatmapModel, runtime: Runtime) -> HeatmapModel:
    """Return the model on the device and in the precision asked for, folded or compiled, in evaluation mode.

    A module that has to be changed for it is copied, so that the caller's stays as it is; any other is returned
    itself. What is no module is taken to be where it should.

    Raises:
        ValueError: if torch cannot compile here.
    """
    if not isinstance(model, nn.Module):
        return model
    model.eval()
    device, dtype = _whereabouts(model)
    if runtime.device is not None:
        device = torch.empty(0, device=find_device(str(runtime.device))).device  # "cuda" becomes "cuda:0"
    dtype = runtime.torch_dtype or dtype
    if (device, dtype) == _whereabouts(model) and not (runtime.fuse or runtime.compile):
        return model
    placed = copy.deepcopy(model)
    if runtime.fuse:
        for network in _networks(placed):
            fold_batch_norms(network, _blank_crops(network))  # before weights lose digits
        placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # lacking in torch's overloads
    placed.to(device=device, dtype=dtype)
    if runtime.compile:
        with limited_threads(runtime.threads):
            for network in _networks(placed):
                _compile(network)
    return placed


def _networks(model: nn.Module) -> list[nn.Module]:
    """Return the networks of an ensemble, each once, or the model itself."""
    return list(dict.fromkeys(model.members)) if isinstance(model, Ensemble) else [model]


def _blank_crops(network: nn.Module, count: int = 1) -> Tensor:
    """Return crops such as a network reads, in the layout that prediction feeds it."""
    device, dtype = _whereabouts(network)
    if not isinstance(network, HeatmapModel):
        raise TypeError(f"model: expected one with a configuration, found {network!r:.60}")
    size = network.config.input_size
    crops = torch.zeros(count, 3, size.height, size.width, device=device, dtype=dtype)
    return crops.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def _compile(network: nn.Module) -> None:
    """Compile a network and run it once, so that errors come here; torch compiles again for other numbers of crops."""
    network.compile()
    try:
        network(_blank_crops(network, 2))
    except torch._dynamo.exc.TorchDynamoException as error:  # noqa: SLF001 - torch has no public name for it
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ValueError(f"compile: torch cannot compile the model here: {reason:.200}") from error


def input_of(model: HeatmapModel, runtime: Runtime) -> tuple[torch.device, torch.dtype]:
    """Return the device and the type that the crops of a model must have which `place` returned."""
    if isinstance(model, nn.Module):
        return _whereabouts(model)
    return find_device(str(runtime.device or "cpu")), runtime.torch_dtype or torch.float32


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


def _floating_point(dtype: object) -> torch.dtype | None:
    """Return the floating-point type that a name or value stands for."""
    found = getattr(torch, dtype) if isinstance(dtype, str) and dtype in DTYPES else dtype
    if found is None or (isinstance(found, torch.dtype) and found.is_floating_point):
        return found
    raise ValueError(f"dtype: expected a floating-point type such as torch.float16, found {dtype!r}")


def _whereabouts(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return where and in what precision the weights are held."""
    for parameter in model.parameters():
        return parameter.device, parameter.dtype
    return torch.device("cpu"), torch.float32
