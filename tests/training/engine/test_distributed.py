"""What processes tell each other: none waits for one that stopped."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from pcrpose.models.pcr import PCR
from pcrpose.training.engine.distributed import ProcessError, Processes, start_accelerator, synchronize_statistics


class Pair(Processes):
    """The second of two processes; what the first one tells is known beforehand."""

    def __init__(self, told: tuple[object, str | None]) -> None:
        super().__init__(1, 2)
        self.told = told

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401 - anything
        """Put the first one's word before this one's."""
        return [self.told, value]


def test_a_process_alone_acts_and_raises() -> None:
    """Nothing is asked of a group that is not there."""
    alone = Processes.current()
    tensor = torch.ones(2)
    alone.copy_from_first([tensor])

    assert (alone.rank, alone.count) == (0, 1)
    assert alone.together(lambda: 3) == [3]
    assert alone.first(lambda: 4) == 4
    assert alone.sum(tensor).tolist() == [1, 1]
    with pytest.raises(ZeroDivisionError):
        alone.together(lambda: 1 / 0)


def test_the_first_acts_for_all() -> None:
    """The second process does nothing and gets nothing."""
    done: list[int] = []
    assert Pair((None, None)).first(lambda: done.append(1)) is None
    assert done == []


def test_an_error_elsewhere_is_an_error_here() -> None:
    """The message names the process and its trouble."""
    with pytest.raises(ProcessError, match="process 0 stopped: OSError: the disk is full"):
        Pair((None, "OSError: the disk is full")).together(lambda: 1)


def test_ones_own_error_comes_first() -> None:
    """A process raises what stopped it, after the others have heard."""

    def fails() -> int:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        Pair((None, "OSError: another")).together(fails)


def test_processes_that_do_not_know_of_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trainings of one process each would both write."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"expected 2 processes .* ACCELERATE_USE_CPU=1"):
        start_accelerator()


def test_statistics_over_processes_are_for_cuda(make_model: Callable[[], PCR]) -> None:
    """Elsewhere they are refused; there the layers change and the weights keep their names."""
    model = make_model()
    names = list(model.state_dict())
    with pytest.raises(ValueError, match="sync_batch_norm: expected CUDA devices, found cpu"):
        synchronize_statistics(model, torch.device("cpu"))

    synchronize_statistics(model, torch.device("cuda"))

    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    assert list(model.state_dict()) == names
