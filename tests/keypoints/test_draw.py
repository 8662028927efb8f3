"""Drawn pictures: what is coloured, where, and how much of it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.draw import LEFT, MIDDLE, RIGHT, draw_poses
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17, Skeleton

GREY = 90
STICK = Skeleton("stick", ("left", "right", "top"), [("left", "right")], [("left", "top"), ("top", "right")], [0.1] * 3)


def picture(height: int = 60, width: int = 80) -> Image:
    """Make a plain grey picture."""
    return np.full((height, width, 3), GREY, dtype=np.uint8)


def stick_poses(keypoints: Any, scores: npt.ArrayLike = 1.0, **changes: Any) -> Poses:  # noqa: ANN401 - lists and fields
    """Make persons of three keypoints."""
    points = np.asarray(keypoints, dtype=float).reshape(-1, 3, 2)
    fields: dict[str, Any] = {
        "keypoints": points,
        "keypoint_scores": np.broadcast_to(scores, points.shape[:2]),
        "boxes_xyxy": np.tile([10.0, 10.0, 70.0, 50.0], (len(points), 1)),
        "box_scores": np.ones(len(points)),
        "pose_scores": np.linspace(1, 0.5, len(points)),
        "skeleton": STICK,
    }
    return Poses(**{**fields, **changes})


def changed(drawn: PIL.Image.Image, image: Image) -> npt.NDArray[np.bool_]:
    """``(H, W)``: which pixels differ."""
    different: npt.NDArray[np.bool_] = np.not_equal(np.asarray(drawn), image).max(axis=2)
    return different


def test_each_side_has_its_colour() -> None:
    """Keypoints and bones of the left and right side are told apart; the middle has the person's colour."""
    pixels = np.asarray(draw_poses(picture(), stick_poses([[10, 50], [70, 50], [40, 10]]), line_width=4))

    assert tuple(pixels[50, 10]) == LEFT
    assert tuple(pixels[50, 70]) == RIGHT
    assert tuple(pixels[10, 40]) == MIDDLE[0]
    assert tuple(pixels[30, 25]) == LEFT
    assert tuple(pixels[30, 55]) == RIGHT


@pytest.mark.parametrize("names", [("right", "left", "top"), ("a", "b", "c")])
def test_sides_follow_the_names_then_the_order(names: tuple[str, str, str]) -> None:
    """A pair listed right first is still right and left; without such names the first is left."""
    skeleton = Skeleton("stick", names, [(0, 1)], [], [0.1] * 3)

    pixels = np.asarray(draw_poses(picture(), stick_poses([[10, 50], [70, 50], [40, 10]], skeleton=skeleton)))

    first, second = (RIGHT, LEFT) if names[0] == "right" else (LEFT, RIGHT)
    assert (tuple(pixels[50, 10]), tuple(pixels[50, 70])) == (first, second)


def test_persons_who_overlap_differ() -> None:
    """Two persons have different middles, and the best-scored one lies on top."""
    both = stick_poses([[[10, 50], [70, 50], [40, 10]], [[10, 50], [70, 50], [40, 10]]])

    assert tuple(np.asarray(draw_poses(picture(), both))[10, 40]) == MIDDLE[0]
    assert tuple(np.asarray(draw_poses(picture(), both[::-1]))[10, 40]) == MIDDLE[1]


def test_low_scores_are_faint_and_in_place() -> None:
    """A keypoint below the threshold shows faintly where it is, carries no bone, and never moves to the corner."""
    image = picture()
    poses = stick_poses([[10, 50], [70, 50], [40, 10]], [0.1, 0.9, 0.9])

    pixels = np.asarray(draw_poses(image, poses, line_width=4)).astype(int)

    assert 0 < abs(pixels[50, 10] - np.array(LEFT)).max() < abs(GREY - np.array(LEFT)).max()
    assert (pixels[30, 25] == GREY).all()
    assert tuple(pixels[30, 55]) == RIGHT
    assert (pixels[:5, :5] == GREY).all()


def test_the_threshold_is_exclusive() -> None:
    """A keypoint scoring exactly the threshold is faint, as it does not count in the pose's score."""
    poses = stick_poses([[10, 50], [70, 50], [40, 10]], 0.5)

    assert tuple(np.asarray(draw_poses(picture(), poses, threshold=0.49))[50, 10]) == LEFT
    assert tuple(np.asarray(draw_poses(picture(), poses, threshold=0.5))[50, 10]) != LEFT


def test_lines_grow_with_the_person() -> None:
    """A larger person has wider lines, so more pixels for each pixel of its size; tiny persons keep a visible line."""
    counts = []
    for scale in (1, 2, 4):
        image = picture(400, 500)
        poses = stick_poses(np.array([[10, 90], [110, 90], [60, 10]]) * scale)
        counts.append(changed(draw_poses(image, poses), image).sum() / scale)

    assert counts[0] < counts[1] < counts[2]
    image = picture()
    tiny = stick_poses([[20, 20], [22, 20], [21, 18]])
    assert changed(draw_poses(image, tiny), image).any()


def test_one_keypoint_takes_its_size_from_the_box() -> None:
    """With one keypoint found there is no extent, so the box gives the size of the disc."""
    image = picture(300, 300)
    sizes = []
    for side in (50.0, 250.0):
        poses = stick_poses([[100, 100], [20, 20], [30, 20]], [0.9, 0, 0], boxes_xyxy=[[0, 0, side, side]])
        sizes.append(changed(draw_poses(image, poses), image).sum())

    assert sizes[0] < sizes[1]


def test_edges_are_smooth() -> None:
    """A slanted line has pixels between its colour and the ground, in the right amount: its area is length x width."""
    skeleton = Skeleton("line", ("a", "b", "c"), [], [(0, 1)], [0.1] * 3)
    image = np.zeros((100, 100, 3), dtype=np.uint8)
    far = -500.0
    poses = stick_poses([[-20, -20], [120, 120], [far, far]], skeleton=skeleton, pose_scores=[1.0])

    green = np.asarray(draw_poses(image, poses, line_width=6)).astype(float)[20:80, 20:80, 1]

    full = MIDDLE[0][1]
    assert ((green > 0.2 * full) & (green < 0.8 * full)).any()
    assert (green >= 0.999 * full).sum() > 0
    across = green[30] / full
    assert across.max() == 1.0
    assert across[across > 0.2].sum() == pytest.approx(6 * np.sqrt(2), abs=1.5)


def test_boxes_are_drawn_on_request() -> None:
    """The option draws the four sides and nothing inside."""
    image = picture()
    poses = stick_poses([[40, 30], [40, 31], [40, 32]])

    without, boxed = (changed(draw_poses(image, poses, boxes=boxes), image) for boxes in (False, True))

    assert not without[10, 12:68].any()
    assert boxed[10, 10:71].all()
    assert boxed[50, 10:71].all()
    assert boxed[10:51, 10].all()
    assert boxed[10:51, 70].all()
    assert not boxed[15:25, 15:65].any()


def test_what_is_outside_is_cut_off() -> None:
    """Keypoints far outside or not finite, and boxes that are not finite, cost nothing and break nothing."""
    image = picture()
    inside = stick_poses([[10, 50], [70, 50], [40, 10]])
    outside = stick_poses([[1e7, -1e7], [-4e8, 30], [1e9, 1e9]])
    broken = stick_poses([[10, 50], [np.nan, 50], [np.inf, 10]], boxes_xyxy=[[np.nan] * 4])

    assert changed(draw_poses(image, inside), image).any()
    assert not changed(draw_poses(image, outside[:1], line_width=2), image)[:, :70].any()
    assert not changed(draw_poses(image, broken, boxes=True), image)[:, 30:].any()


def test_a_panorama_has_lines_for_persons() -> None:
    """In a very wide picture a stray keypoint makes the lines no wider than a person of the picture's height has."""
    image = picture(100, 20_000)
    poses = stick_poses([[100, 90], [120, 90], [19_000, 10]])

    columns = changed(draw_poses(image, poses), image)[:, 9_000]

    assert 0 < columns.sum() < 20


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1"])
def test_pil_pictures_of_every_mode(mode: str) -> None:
    """A PIL picture of any mode comes out as a new RGB picture of its size; the one given stays as it is."""
    image = PIL.Image.fromarray(picture()).convert(mode)
    before = image.tobytes()

    drawn = draw_poses(image, stick_poses([[10, 50], [70, 50], [40, 10]]))

    assert (drawn.mode, drawn.size) == ("RGB", image.size)
    assert tuple(np.asarray(drawn)[50, 10]) == LEFT
    assert image.tobytes() == before


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_arrays_of_every_depth(channels: tuple[int, ...]) -> None:
    """Grey, RGB and RGBA arrays come out as RGB; read-only input is fine."""
    image = np.full((60, 80, *channels), GREY, dtype=np.uint8)
    image.flags.writeable = False

    drawn = np.asarray(draw_poses(image, stick_poses([[10, 50], [70, 50], [40, 10]])))

    assert drawn.shape == (60, 80, 3)
    assert tuple(drawn[50, 10]) == LEFT
    assert (drawn[0, 0] == GREY).all()


def test_exif_orientation_is_applied() -> None:
    """Predictors read a PIL picture upright, so it is drawn upright."""
    image = PIL.Image.fromarray(picture())
    image.getexif()[0x0112] = 6

    assert draw_poses(image, stick_poses([[10, 50], [50, 50], [40, 10]])).size == (60, 80)


def test_a_path_is_not_opened_here() -> None:
    """Drawing opens no files; the error says what does."""
    with pytest.raises(TypeError, match="open_image"):
        draw_poses("picture.jpg", stick_poses([[1, 1], [2, 2], [3, 3]]))  # type: ignore[arg-type] # what is tested


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5, 3)), np.zeros((4, 5, 2), np.uint8), np.zeros(9, np.uint8), np.zeros((2, 4, 5, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(image: npt.NDArray[Any]) -> None:
    """The error says what was found."""
    with pytest.raises(ValueError, match=r"image: expected uint8 of shape \(H, W, 3\), found") as caught:
        draw_poses(image, stick_poses([[1, 1], [2, 2], [3, 3]]))

    assert str(image.shape) in str(caught.value)


@pytest.mark.parametrize("width", [0.0, -1.0, np.nan])
def test_a_line_has_a_width(width: float) -> None:
    """Zero, negative and NaN widths are refused."""
    with pytest.raises(ValueError, match="line_width: expected a positive number"):
        draw_poses(picture(), stick_poses([[1, 1], [2, 2], [3, 3]]), line_width=width)


def test_coco_sides() -> None:
    """Every keypoint of COCO's but the nose belongs to the side its name says."""
    keypoints = np.stack([np.arange(17) * 40 + 20, np.full(17, 30)], axis=1)[None]
    poses = Poses(
        keypoints=keypoints,
        keypoint_scores=np.ones((1, 17)),
        boxes_xyxy=np.zeros((1, 4)),
        box_scores=[1.0],  # type: ignore[arg-type]  # lists are converted
        pose_scores=[1.0],  # type: ignore[arg-type]  # lists are converted
        skeleton=Skeleton("bare", COCO_17.keypoints, COCO_17.flip_pairs, [], COCO_17.sigmas),
    )

    pixels = np.asarray(draw_poses(picture(60, 700), poses))

    for name, (x, y) in zip(COCO_17.keypoints, keypoints[0], strict=True):
        expected = LEFT if name.startswith("left") else RIGHT if name.startswith("right") else MIDDLE[0]
        assert tuple(pixels[y, x]) == expected
