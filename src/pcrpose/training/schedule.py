"""Learning rates as a function of the step: nothing to save, nothing to get out of step on resume."""

import math
from collections.abc import Sequence

from pcrpose.training.config import Schedule

STEP_FACTOR = 0.1


def rate_factor(
    step: int, total_steps: int, *, schedule: Schedule, warmup_steps: int = 0, milestones: Sequence[float] = ()
) -> float:
    """Return the factor on the base learning rate of one optimizer step.

    Args:
        step: counted from 0.
        total_steps: of the whole run.
        schedule: ``"step"`` multiplies by 0.1 at each milestone, ``"cosine"`` falls to zero at the end.
        warmup_steps: steps over which the factor first rises linearly.
        milestones: fractions of the run, in ``(0, 1)``; for ``"step"`` only.

    Examples:
        >>> [rate_factor(step, 10, schedule="step", milestones=(0.5,)) for step in (0, 4, 5)]
        [1.0, 1.0, 0.1]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return STEP_FACTOR ** sum(step >= fraction * total_steps for fraction in milestones)
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
