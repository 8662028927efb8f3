"""Validation of single values, in one wording: ``name: expected ..., found ...``."""

import math
from collections.abc import Iterable
from numbers import Real
from typing import TypeGuard


def positive(name: str, value: object, *, of: str = "") -> None:
    """Raise unless a value is a finite number above 0.

    Args:
        name: what messages call the value.
        value: anything; truth values and texts are no numbers.
        of: the unit, as ``"crop pixels"``.

    Raises:
        ValueError: with what was expected and what was found.

    Examples:
        >>> positive("sigma", -2.0, of="crop pixels")
        Traceback (most recent call last):
        ValueError: sigma: expected a positive number of crop pixels, found -2.0
    """
    if not (_is_finite(value) and value > 0):
        raise ValueError(f"{name}: expected a positive number{of and f' of {of}'}, found {value!r:.80}")


def at_least(name: str, value: object, least: float) -> None:
    """Raise ValueError unless a value is a finite number, ``least`` or more.

    Examples:
        >>> at_least("draws", 0, 1)
        Traceback (most recent call last):
        ValueError: draws: expected at least 1, found 0
    """
    if not (_is_finite(value) and value >= least):
        raise ValueError(f"{name}: expected at least {least}, found {value!r:.80}")


def fraction(name: str, value: object, *, zero: bool = True, one: bool = True) -> None:
    """Raise ValueError unless a value is a number from 0 to 1; without ``zero`` or ``one`` that end is excluded.

    Examples:
        >>> fraction("confidence", 1, zero=False, one=False)
        Traceback (most recent call last):
        ValueError: confidence: expected a number above 0 and below 1, found 1
    """
    above = _is_finite(value) and (value >= 0 if zero else value > 0)
    below = _is_finite(value) and (value <= 1 if one else value < 1)
    if not (above and below):
        ends = {
            (True, True): "from 0 to 1",
            (False, True): "above 0 and at most 1",
            (True, False): "from 0 up and below 1",
            (False, False): "above 0 and below 1",
        }
        raise ValueError(f"{name}: expected a number {ends[zero, one]}, found {value!r:.80}")


def one_of(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise ValueError unless a value is one of the choices.

    Examples:
        >>> one_of("decoding", "drak", ("dark", "argmax"))
        Traceback (most recent call last):
        ValueError: decoding: expected one of ['dark', 'argmax'], found 'drak'
    """
    known = list(choices)
    if value not in known:
        raise ValueError(f"{name}: expected one of {known}, found {value!r:.80}")


def _is_finite(value: object) -> TypeGuard[float]:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
