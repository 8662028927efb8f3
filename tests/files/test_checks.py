"""Validation of single values: which pass, and the one wording of those that do not."""

import math
import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from pcrpose.files.checks import at_least, fraction, one_of, positive

NO_NUMBERS = (math.nan, math.inf, -math.inf, None, "1", True, [1])


@pytest.mark.parametrize("value", [1, 0.5, 5e-324, np.float32(0.1), np.int64(3)])
def test_positive(value: object) -> None:
    """Every finite number above 0 passes, numpy's too."""
    positive("sigma", value)


@pytest.mark.parametrize(
    ("check", "wrong", "expected"),
    [
        (positive, (0, -1, 0.0), "a positive number"),
        (partial(positive, of="crop pixels"), (0,), "a positive number of crop pixels"),
        (partial(at_least, least=1), (0, 0.999), "at least 1"),
        (fraction, (-1e-9, 1.000001, 2), "a number from 0 to 1"),
        (partial(fraction, zero=False), (0, 1.5), "a number above 0 and at most 1"),
        (partial(fraction, one=False), (1, -0.5), "a number from 0 up and below 1"),
        (partial(fraction, zero=False, one=False), (0, 1), "a number above 0 and below 1"),
    ],
)
def test_wrong_values(check: Callable[..., None], wrong: tuple[object, ...], expected: str) -> None:
    """What is out of range and what is no finite number is named with what was expected."""
    for value in (*wrong, *NO_NUMBERS):
        with pytest.raises(ValueError, match=f"^{re.escape(f'name: expected {expected}, found {value!r}')}$"):
            check("name", value)


def test_ends() -> None:
    """An end that counts passes."""
    at_least("draws", 1, 1)
    fraction("opacity", 0)
    fraction("opacity", 1)
    fraction("duplicate_iou", 1, zero=False)
    fraction("momentum", 0, one=False)
    fraction("confidence", 0.95, zero=False, one=False)


def test_one_of() -> None:
    """A choice passes; anything else is named beside all choices."""
    one_of("decoding", "dark", ("dark", "argmax"))

    with pytest.raises(ValueError, match=r"^decoding: expected one of \['dark', 'argmax'\], found 'drak'$"):
        one_of("decoding", "drak", ("dark", "argmax"))
    with pytest.raises(ValueError, match=r"^decoding: expected one of \['dark'\], found \['dark'\]$"):
        one_of("decoding", ["dark"], ("dark",))


def test_long_values_are_cut() -> None:
    """A value that fills the screen does not."""
    with pytest.raises(ValueError, match=r"found 'x{79}$"):
        positive("sigma", "x" * 1000)
