"""Batch norms folded into the convolutions before them: the same numbers, one pass over the features less.

Which norm reads which convolution is seen in one forward pass, so that names and nesting of the layers do not matter.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Convolution = nn.Conv2d | nn.ConvTranspose2d


def fold_batch_norms(model: nn.Module, crops: Tensor) -> int:
    """Fold every batch norm that alone reads the output of a convolution into that convolution.

    The convolution gets the norm's scale and offset, computed in double precision; an identity takes the norm's place.
    A norm stays that reads anything else, such as those before a convolution. What can be folded is seen in evaluation
    mode; a folded model is for prediction alone.

    Args:
        model: changed in place; in evaluation mode.
        crops: ``(B, 3, H, W)`` float, what the model reads. It runs once.

    Returns:
        How many norms were folded.
    """
    record = _Record()
    with torch.inference_mode(), record:
        model(crops)
    convolutions = {id(module.weight): module for module in model.modules() if isinstance(module, Convolution)}
    folded = 0
    for name, norm in list(model.named_modules()):
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
            continue
        convolution = convolutions.get(record.kernel_before(norm.running_mean))
        if convolution is not None:
            _fold(convolution, norm)
            model.set_submodule(name, nn.Identity())
            folded += 1
    return folded


class _Record(TorchFunctionMode):
    """Note the kernel behind each tensor that a convolution returns, and which functions read it."""

    def __init__(self) -> None:
        super().__init__()
        self._returned: dict[int, tuple[int, Tensor]] = {}  # kernel by tensor, which is kept so that ids stay its own
        self._readers: dict[int, set[int]] = defaultdict(set)  # of a kernel's tensors: means of norms, 0 for others
        self._sources: dict[int, set[int]] = defaultdict(set)  # of a norm: kernels, 0 for others

    def kernel_before(self, mean: Tensor) -> int:
        """Return the id of the kernel that a norm is the only reader of and that alone it reads, or 0."""
        sources = self._sources[id(mean)]
        kernel = next(iter(sources)) if len(sources) == 1 else 0
        return kernel if self._readers[kernel] == {id(mean)} else 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what the function returns
        """Run a function, and note what it read."""
        result = func(*args, **(kwargs or {}))
        if not isinstance(result, Tensor | tuple | list) or isinstance(result, torch.Size):
            return result  # a shape or a type says nothing of the values
        reader = 0
        if func is functional.batch_norm:
            reader = id(args[1])
            self._sources[reader].add(self._returned.get(id(args[0]), (0, None))[0])
        for tensor in _tensors((args, kwargs)):
            if id(tensor) in self._returned:
                self._readers[self._returned[id(tensor)][0]].add(reader)
        if func in {functional.conv2d, functional.conv_transpose2d} and isinstance(result, Tensor):
            self._returned[id(result)] = (id(args[1]), result)
        return result


def _tensors(values: Any) -> list[Tensor]:  # noqa: ANN401 - any nesting
    """Return the tensors among arguments."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, Mapping):
        values = values.values()
    elif not isinstance(values, tuple | list):
        return []
    return [tensor for value in values for tensor in _tensors(value)]


def _fold(convolution: Convolution, norm: nn.BatchNorm2d) -> None:
    """Give a convolution the scale and offset of the norm behind it."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("norm: expected one with running statistics")
    kernel, mean = convolution.weight, norm.running_mean.double()
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    offset = torch.zeros_like(mean)
    if norm.affine:
        scale, offset = scale * norm.weight.double(), norm.bias.double()
    before = 0.0 if convolution.bias is None else convolution.bias.double()
    if isinstance(convolution, nn.ConvTranspose2d):  # (in, out / groups, h, w)
        groups, per_group = convolution.groups, len(kernel) // convolution.groups
        scaled = kernel.double() * scale.view(groups, -1).repeat_interleave(per_group, dim=0)[:, :, None, None]
    else:
        scaled = kernel.double() * scale.view(-1, 1, 1, 1)
    bias = (before - mean) * scale + offset
    convolution.weight = nn.Parameter(scaled.detach().to(kernel.dtype), requires_grad=False)
    convolution.bias = nn.Parameter(bias.detach().to(kernel.dtype), requires_grad=False)
