"""Array types of the public signatures, and validation of shapes."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Indices: TypeAlias = npt.NDArray[np.intp]
Bools: TypeAlias = npt.NDArray[np.bool_]
Image: TypeAlias = npt.NDArray[np.uint8]  # (H, W, 3), RGB unless a name says otherwise


def as_floats(values: npt.ArrayLike, *, shape: tuple[int | None, ...], name: str) -> Floats:
    """Convert to float64 and validate the shape.

    Args:
        values: anything numpy can turn into an array.
        shape: expected lengths of the axes; ``None`` accepts any length.
        name: what the error calls the value.

    Returns:
        float64 array of that shape; an empty list counts as zero rows of the right shape.

    Raises:
        ValueError: if ``values`` is not numeric or has another shape.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers of shape {describe(shape)}, found {values!r:.80}") from error
    if array.size == 0 and array.ndim <= 1 and shape[0] is None:
        return np.zeros(tuple(n or 0 for n in shape))
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name}: expected shape {describe(shape)}, found {array.shape}")
    return array


def describe(shape: tuple[int | None, ...]) -> str:
    """Write a shape with ``any`` where every length is accepted."""
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
