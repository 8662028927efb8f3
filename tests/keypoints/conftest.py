"""How colors look to everybody: lightness and hue, in ordinary and in color-blind eyes."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from pcrpose.keypoints.arrays import Floats

Seen: TypeAlias = Callable[[npt.ArrayLike], dict[str, Floats]]

# Linear RGB to what a person lacking one kind of cone sees, severity 1 (Machado, Oliveira and Fernandes, 2009).
EYES = {
    "ordinary": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


@pytest.fixture
def seen() -> Seen:
    """Turn ``(N, 3)`` sRGB colors into ``(N, 3)`` CIELAB, lightness first, for each kind of eye."""

    def look(colors: npt.ArrayLike) -> dict[str, Floats]:
        share = np.asarray(colors, dtype=float) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return {eye: lab(np.clip(linear @ matrix.T, 0, 1)) for eye, matrix in EYES.items()}

    return look


def lab(linear: Floats) -> Floats:
    """``(N, 3)`` linear sRGB to CIELAB, white D65."""
    share = linear @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    bent = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    x, y, z = bent.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
