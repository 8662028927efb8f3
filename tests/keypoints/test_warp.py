"""The pixels of a crop: the same from an array and from a PIL image, and no copy of the rest."""

import tracemalloc
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pcrpose.keypoints import warp
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Alignment, Crops

SIZE = Size(width=24, height=32)
WINDOWS: dict[str, dict[str, Any]] = {
    "inside": {},
    "enlarged": {"extents": [[9, 12]]},
    "mirrored": {"mirrored": True},
    "rotated": {"rotations": 30.0},
    "rotated and enlarged": {"rotations": -70.0, "extents": [[9, 12]]},
    "over the border": {"centers": [[2.5, 75.0]]},
    "over the border and rotated": {"centers": [[2.5, 75.0]], "rotations": 100.0},
    "outside": {"centers": [[-900.0, 20.0]]},
}


def crop(alignment: Alignment = "center", **window: Any) -> Crops:  # noqa: ANN401 - of a window
    """One crop of a 60 x 80 image that shrinks it a little."""
    return Crops.from_windows(
        **{"centers": [[30.0, 40.0]], "extents": [[36.0, 48.0]], "size": SIZE, "alignment": alignment, **window}
    )


@pytest.mark.parametrize("largest", [2**26, 10])
@pytest.mark.parametrize("alignment", ["center", "edge"])
@pytest.mark.parametrize("window", WINDOWS)
def test_arrays_and_pil_images_give_the_same(
    window: str, alignment: Alignment, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, wherever the window lies, also where Pillow itself would not cut so much."""
    monkeypatch.setattr(warp, "_LARGEST_PIL_REGION", largest)
    image = np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    made = crop(alignment, **WINDOWS[window])

    np.testing.assert_array_equal(made.warp(PIL.Image.fromarray(image)), made.warp(image))


def test_only_pil_images_of_rgb_are_taken() -> None:
    """Others would have to be converted, whole."""
    with pytest.raises(ValueError, match=r"expected uint8 \(H, W, 3\), not empty, found PIL image L \(4, 5\)"):
        crop().warp(PIL.Image.new("L", (4, 5)))
    with pytest.raises(ValueError, match=r"found PIL image RGB \(0, 5\)"):
        crop().warp(PIL.Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("rotation", [0.0, 30.0])
@pytest.mark.parametrize("kind", ["array", "view", "PIL"])
def test_no_more_than_the_region_is_copied(kind: str, rotation: float) -> None:
    """A window of 36 x 48 in an image of 12 million pixels takes less than a hundredth of its memory."""
    pixels = np.zeros((3000, 4000, 3), dtype=np.uint8)
    images: dict[str, Any] = {"array": pixels, "view": pixels[:, :, ::-1], "PIL": PIL.Image.fromarray(pixels)}
    image = images[kind]
    made = crop(rotations=rotation)
    made.warp(image)
    tracemalloc.start()
    try:
        made.warp(image)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < pixels.nbytes / 100
