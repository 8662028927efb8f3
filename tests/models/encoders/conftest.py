"""Names and shapes of published encoders, and tensors generated for them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
SALT, GAIN = "encoder ", 2.0  # of the tensors that the recorded features were computed with


@pytest.fixture(scope="session")
def published_shapes() -> Callable[[str], Shapes]:
    """Read a list of names and shapes; its first line says which version of which project it is of."""

    def read(name: str) -> Shapes:
        lines = (Path(__file__).parent / "published" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        rows = [line.split() for line in lines if not line.startswith("#")]
        return {name: tuple(map(int, sides)) for name, *sides in rows}

    return read


@pytest.fixture
def published_tensors(
    published_shapes: Callable[[str], Shapes], generate: Callable[[str, tuple[int, ...], str, float], Tensor]
) -> Callable[[str], dict[str, Tensor]]:
    """Generate the tensors of a published encoder, each a function of its name and shape."""
    return lambda name: {key: generate(key, shape, SALT, GAIN) for key, shape in published_shapes(name).items()}


@pytest.fixture
def published_crops(draw_crops: Callable[[str, tuple[int, ...]], Tensor]) -> Tensor:
    """Generate the crop whose features are recorded."""
    return draw_crops(SALT, (1, 3, 64, 96)).to(torch.float64)
