"""The Muon optimizer: orthogonalized momentum for matrices, Adam for all other parameters."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the published quintic iteration
ITERATIONS = 5
LIKE_ADAM = 0.2  # the usual size of Adam's steps: one learning rate serves both


class Muon(Optimizer):
    """Learn from scratch in fewer steps than Adam needs (ours as an option).

    Args:
        groups: dicts with ``params``, ``lr`` and ``orthogonal``: whether the tensors are kernels to be made orthogonal
            or take Adam's steps.
        momentum: of the kernels' gradients.
        betas: of Adam's two averages.

    Source:
        Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024; the scaling by the larger side
        is Liu et al., *Muon is Scalable for LLM Training*, 2025.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(groups, {"lr": 1e-3, "orthogonal": False})
        self.momentum, self.betas, self.epsilon = momentum, betas, epsilon

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override] # no loss is computed again
        """Change every parameter that has a gradient."""
        if closure is not None:
            raise ValueError("closure: expected None; the loss is not computed again")
        for group in self.param_groups:
            change = self._orthogonal if group["orthogonal"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    change(parameter, parameter.grad, group["lr"])

    def _orthogonal(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"].lerp_(gradient, 1 - self.momentum)
        matrix = gradient.lerp(average, self.momentum).flatten(1)
        step = orthogonalize(matrix).to(parameter.dtype).view(parameter.shape)
        parameter.add_(step, alpha=-rate * LIKE_ADAM * math.sqrt(max(matrix.shape)))

    # Not torch.optim.Adam, which takes the roots of average and bias correction apart: the last bits differ after one
    # step, and seeded trainings would end with other weights.
    def _adam(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        first, second = self.betas
        done = float(state["step"])
        average = state["exp_avg"].lerp_(gradient, 1 - first)
        square = state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        deviation = (square / (1 - second**done)).sqrt_().add_(self.epsilon)
        parameter.addcdiv_(average, deviation, value=-rate / (1 - first**done))


def orthogonalize(matrix: Tensor) -> Tensor:
    """Orthogonalize: bring every singular value of an ``(N, M)`` matrix near 1, by matrix products alone.

    Returns:
        ``(N, M)`` bfloat16; singular values between about 0.7 and 1.2.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def is_kernel(name: str, parameter: nn.Parameter) -> bool:
    """Return whether a parameter is a matrix between hidden features: no head, no depthwise filter, no vector."""
    return parameter.dim() == 4 and parameter.shape[1] > 3 and "head" not in name  # noqa: PLR2004 - (out, in, h, w) beyond RGB
