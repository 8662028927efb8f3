"""Several processes that train one model: what they tell each other, so that all go on or all stop."""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from pcrpose.files.extras import install_command

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")


class ProcessError(RuntimeError):
    """What stopped another process; the message says which and why."""


class Processes:
    """The processes of a run, one or many.

    Args:
        rank: of this one, from 0; the first one writes.
        count: how many there are. More than one needs a default process group, which Accelerate makes.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @classmethod
    def current(cls) -> "Processes":
        """Return the processes of the group that was made, or this one alone."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return cls()
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank; they have to be picklable."""
        if self.count == 1:
            return [value]
        values: list[T | None] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value] # every place is filled

    def together(self, action: Callable[[], T]) -> list[T]:
        """Act in every process and give every process all results, by rank.

        What an action raises is raised in its process, once all have ended, and as a `ProcessError` in the others: so
        nobody waits for a process that stopped.
        """
        error: Exception | None = None
        result: T | None = None
        try:
            result = action()
        except Exception as raised:  # noqa: BLE001 - raised below, after the others have heard of it
            error = raised
        outcomes = self.gather((result, None if error is None else f"{type(error).__name__}: {error}"))
        if error is not None:
            raise error
        for rank, (_, message) in enumerate(outcomes):
            if message is not None:
                raise ProcessError(f"process {rank} stopped: {message}")
        return [result for result, _ in outcomes]  # type: ignore[misc] # None where the action gives None

    def first(self, action: Callable[[], T]) -> T | None:
        """Act in the first process while the others wait; they get None. Errors reach all, as in `together`."""
        return self.together(lambda: action() if self.rank == 0 else None)[self.rank]

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, src=0)

    def sum(self, tensor: Tensor) -> Tensor:
        """Add a tensor up over all processes, in place."""
        if self.count > 1:
            torch.distributed.all_reduce(tensor)
        return tensor


def start_accelerator() -> "Accelerator":
    """Build the accelerator of this process.

    Raises:
        ImportError: without the ``train`` extra.
        ValueError: if several processes were launched that do not know of each other.
    """
    try:
        from accelerate import Accelerator  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError(f"training needs more packages: {install_command('train')}") from error
    # Accelerate's own mixed precision is one setting for a whole process; the loop casts by itself
    accelerator = Accelerator(mixed_precision="no")
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != launched:
        raise ValueError(
            f"expected {launched} processes as launched (WORLD_SIZE), found {accelerator.num_processes}: "
            "without a GPU set ACCELERATE_USE_CPU=1"
        )
    return accelerator


def synchronize_statistics(model: nn.Module, device: torch.device) -> nn.Module:
    """Let batch norms take their statistics over all processes; weights and their names stay.

    Raises:
        ValueError: on anything but CUDA, where PyTorch has no such layer.
    """
    if device.type != "cuda":
        raise ValueError(f"sync_batch_norm: expected CUDA devices, found {device.type}, for which PyTorch has none")
    synchronized: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call] # torch's
    return synchronized
