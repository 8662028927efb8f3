"""Events of a training, as values: what ``Trainer(on_event=)`` is called with."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Step:
    """An optimizer step of which a line is logged, see ``log_every_steps``; ``str`` is that line.

    Attributes:
        step: optimizer steps done, this one included.
        total_steps: of the run.
        loss: of the whole batch, over all processes.
        learning_rate: of this step, after the schedule.
        data_wait: fraction of the time since the last such event that was spent waiting for data. Not the same in two
            runs, unlike the rest.
        last_validation: the last validation metric, if one was measured.
    """

    step: int
    total_steps: int
    loss: float
    learning_rate: float
    data_wait: float
    last_validation: float | None = None

    def __str__(self) -> str:
        last = "" if self.last_validation is None else f", last validation {self.last_validation:.3g}"
        return (
            f"step {self.step} of {self.total_steps}: loss {self.loss:.3g}, learning rate {self.learning_rate:.3g}"
            f"{last}, data wait {self.data_wait:.3g}"
        )


@dataclass(frozen=True, kw_only=True)
class Validated:
    """A validation; ``str`` is the line that is logged.

    Attributes:
        step: optimizer steps done.
        total_steps: of the run.
        metric: what the validation returned; larger is better.
        is_best: no earlier one was larger; the model is then in the folder ``best``.
    """

    step: int
    total_steps: int
    metric: float
    is_best: bool

    def __str__(self) -> str:
        return f"step {self.step} of {self.total_steps}: validation {self.metric:.3g}"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A folder that was written: ``last`` (a checkpoint), ``best`` or ``final``.

    Attributes:
        step: optimizer steps done.
        total_steps: of the run.
        folder: whole when the event comes.
    """

    step: int
    total_steps: int
    folder: Path


Event: TypeAlias = Step | Validated | Saved
