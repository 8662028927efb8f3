"""Drawn images: what is colored, where, and how much of it."""

import io
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.drawing.palette import DARK, LEFT, MIDDLE, RIGHT
from pcrpose.keypoints.drawing.poses import draw_poses
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17, Skeleton

GRAY = 90
STICK = Skeleton("stick", ("left", "right", "top"), [("left", "right")], [("left", "top"), ("top", "right")], [0.1] * 3)


def canvas(height: int = 60, width: int = 80) -> Image:
    """Make a plain gray image."""
    return np.full((height, width, 3), GRAY, dtype=np.uint8)


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


def test_each_side_has_its_color() -> None:
    """Keypoints and bones of the left and right side are told apart; the middle has the person's color."""
    pixels = np.asarray(draw_poses(canvas(), stick_poses([[10, 50], [70, 50], [40, 10]]), line_width=4))

    assert tuple(pixels[50, 10]) == LEFT
    assert tuple(pixels[50, 70]) == RIGHT
    assert tuple(pixels[10, 40]) == MIDDLE[0]
    assert tuple(pixels[30, 25]) == LEFT
    assert tuple(pixels[30, 55]) == RIGHT


@pytest.mark.parametrize("names", [("right", "left", "top"), ("a", "b", "c")])
def test_sides_follow_the_names_then_the_order(names: tuple[str, str, str]) -> None:
    """A pair listed right first is still right and left; without such names the first is left."""
    skeleton = Skeleton("stick", names, [(0, 1)], [], [0.1] * 3)

    pixels = np.asarray(draw_poses(canvas(), stick_poses([[10, 50], [70, 50], [40, 10]], skeleton=skeleton)))

    first, second = (RIGHT, LEFT) if names[0] == "right" else (LEFT, RIGHT)
    assert (tuple(pixels[50, 10]), tuple(pixels[50, 70])) == (first, second)


def test_persons_who_overlap_differ() -> None:
    """Two persons have different middles, and the best-scored one lies on top."""
    both = stick_poses([[[10, 50], [70, 50], [40, 10]], [[10, 50], [70, 50], [40, 10]]])

    assert tuple(np.asarray(draw_poses(canvas(), both))[10, 40]) == MIDDLE[0]
    assert tuple(np.asarray(draw_poses(canvas(), both[::-1]))[10, 40]) == MIDDLE[1]


def test_the_rings_are_the_persons() -> None:
    """Keypoints of large persons have a ring in the person's color; on small ones it would bury the limbs."""
    image = canvas(300, 400)
    both = stick_poses([[[50, 250], [150, 250], [100, 50]], [[220, 250], [320, 250], [270, 50]]])

    large = np.asarray(draw_poses(image, both, line_width=10))
    small = np.asarray(draw_poses(image, both, line_width=2))

    for x, color in ((50, MIDDLE[0]), (220, MIDDLE[1])):
        disc = (slice(235, 266), slice(x - 15, x + 16))
        assert (large[disc] == color).all(axis=2).sum() > 5
        assert not (small[disc] == color).all(axis=2).any()


def test_colors_differ_for_everybody(seen: Callable[[npt.ArrayLike], dict[str, Floats]]) -> None:
    """Any two colors of a drawing are far apart in ordinary and in color-blind eyes, left and right most of all."""
    for eye, lab in seen([LEFT, RIGHT, *MIDDLE, DARK]).items():
        apart = {pair: np.linalg.norm(lab[pair[0]] - lab[pair[1]]) for pair in itertools.combinations(range(6), 2)}

        assert min(apart.values()) > 40, eye
        assert apart[0, 1] > 80, eye


@pytest.mark.parametrize("ground", [LEFT, RIGHT, (0, 0, 0), (255, 255, 255)])
def test_limbs_show_on_every_ground(ground: tuple[int, int, int]) -> None:
    """On a ground of a limb's own color its outline still shows, on black and white the limb does."""
    image = np.full((60, 80, 3), ground, dtype=np.uint8)

    pixels = np.asarray(draw_poses(image, stick_poses([[10, 50], [70, 50], [40, 10]]))).astype(int)

    for x in (25, 55):  # across the middle of the left and the right bone
        assert np.abs(pixels[30, x - 6 : x + 7] - ground).max() > 40


def test_low_scores_are_rings_in_place() -> None:
    """A keypoint below the threshold is a hollow ring in full color, carries no bone, and never moves to the corner."""
    image = canvas()
    poses = stick_poses([[10, 50], [70, 50], [40, 10]], [0.1, 0.9, 0.9])

    pixels = np.asarray(draw_poses(image, poses, line_width=8)).astype(int)

    assert tuple(pixels[50, 10]) == (GRAY,) * 3
    row = pixels[50, 10:20]
    assert abs(row - np.array(LEFT)).max(axis=1).min() == 0
    assert (pixels[30, 25] == GRAY).all()
    assert tuple(pixels[30, 55]) == RIGHT
    assert (pixels[:5, :5] == GRAY).all()


def test_low_scores_of_small_persons_stay_visible() -> None:
    """However small the person, a ring has pixels of its full color; on a large image, more of them."""
    counts = []
    for side in (600, 3000):
        tiny = stick_poses([[104, 110], [186, 110], [145, 176]], 0.1, boxes_xyxy=[[104, 106, 106, 110]])
        drawn = np.asarray(draw_poses(canvas(side, side), tiny[:1])).astype(int)
        counts.append(int((abs(drawn - np.array(RIGHT)).max(axis=2) < 30).sum()))

    assert counts[0] >= 4
    assert counts[1] > 4 * counts[0]


def test_the_face_can_be_left_out() -> None:
    """Without the face nothing of nose, eyes and ears is drawn, whatever they score; the body is."""
    poses = coco_pose()

    whole, body = (np.asarray(draw_poses(canvas(200, 200), poses, face=face)) for face in (True, False))

    assert (whole[:45] != GRAY).any()
    assert (body[:45] == GRAY).all()
    assert (body[100] == whole[100]).all()


def coco_pose() -> Poses:
    """Make a person whose face lies above row 45 and whose body below row 60."""
    index = np.arange(17)
    keypoints = np.stack([20 + 9 * index, np.where(index < 5, 30, 60 + 7 * index)], axis=1)[None].astype(float)
    return Poses(
        keypoints=keypoints,
        keypoint_scores=np.full((1, 17), 0.9),
        boxes_xyxy=np.array([[10.0, 20.0, 180.0, 190.0]]),
        box_scores=np.ones(1),
        pose_scores=np.ones(1),
    )


@pytest.mark.parametrize("labels", ["names", "indices"])
def test_labels(labels: Any) -> None:  # noqa: ANN401 - a literal type
    """Names and indices are written at the right of the keypoints that are not faint."""
    poses = stick_poses([[10, 150], [150, 150], [80, 30]], [0.9, 0.9, 0.1])
    image = canvas(200, 400)

    different = changed(draw_poses(image, poses, labels=labels), np.asarray(draw_poses(image, poses)))

    columns = np.flatnonzero(different[135:165].any(axis=0))
    assert columns.min() > 10
    assert (columns > 150).any()
    assert not different[:60].any()
    assert different.sum() > (100 if labels == "names" else 20)


def test_a_color_per_person() -> None:
    """Palettes: by person, or colors of one's own, taken in turn by bones and keypoints alike."""
    both = stick_poses([[[10, 50], [70, 50], [40, 10]], [[110, 50], [170, 50], [140, 10]]])

    persons = np.asarray(draw_poses(canvas(60, 180), both, line_width=4, palette="persons"))
    mine = np.asarray(draw_poses(canvas(60, 180), both, line_width=4, palette=[(1, 2, 3)]))

    assert tuple(persons[30, 25]) == tuple(persons[30, 55]) == tuple(persons[50, 10])
    assert tuple(persons[30, 125]) != tuple(persons[30, 25])
    assert tuple(mine[30, 25]) == tuple(mine[30, 155]) == (1, 2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"palette": "rainbow"}, "palette: expected one of .*sides.*persons.*found 'rainbow'"),
        ({"palette": []}, r"palette: expected RGB colors of 0 to 255, found \[\]"),
        ({"palette": [(1, 2, 300)]}, "palette: expected RGB colors"),
        ({"labels": "numbers"}, "labels: expected one of .*names.*found 'numbers'"),
        ({"color": "hsv"}, "color: expected one of .*found 'hsv'"),
    ],
)
def test_unknown_options(options: dict[str, Any], message: str) -> None:
    """Each is named with what there is."""
    with pytest.raises(ValueError, match=message):
        draw_poses(canvas(), stick_poses([[1, 1], [2, 2], [3, 3]]), **options)


def test_the_threshold_is_exclusive() -> None:
    """A keypoint scoring exactly the threshold is faint, as it does not count in the pose's score."""
    poses = stick_poses([[10, 50], [70, 50], [40, 10]], 0.5)

    assert tuple(np.asarray(draw_poses(canvas(), poses, threshold=0.49))[50, 10]) == LEFT
    assert tuple(np.asarray(draw_poses(canvas(), poses, threshold=0.5))[50, 10]) != LEFT


def test_lines_grow_with_the_person() -> None:
    """A larger person has wider lines, so more pixels for each pixel of its size; tiny persons keep a visible line."""
    counts = []
    for scale in (1, 2, 4):
        image = canvas(400, 500)
        poses = stick_poses(np.array([[10, 90], [110, 90], [60, 10]]) * scale)
        counts.append(changed(draw_poses(image, poses), image).sum() / scale)

    assert counts[0] < counts[1] < counts[2]
    image = canvas()
    tiny = stick_poses([[20, 20], [22, 20], [21, 18]])
    assert changed(draw_poses(image, tiny), image).any()


def test_one_keypoint_takes_its_size_from_the_box() -> None:
    """With one keypoint found there is no extent, so the box gives the size of the disc."""
    image = canvas(300, 300)
    sizes = []
    for side in (50.0, 250.0):
        poses = stick_poses([[100, 100], [20, 20], [30, 20]], [0.9, 0, 0], boxes_xyxy=[[0, 0, side, side]])
        sizes.append(changed(draw_poses(image, poses), image).sum())

    assert sizes[0] < sizes[1]


def test_a_person_of_few_keypoints_has_lines_of_its_size() -> None:
    """Two neighboring keypoints of a large person still carry a line that fits its box."""
    image = canvas(300, 300)
    poses = stick_poses([[100, 100], [20, 20], [120, 100]], [0.9, 0, 0.9], boxes_xyxy=[[0, 0, 290, 290]])
    small = stick_poses([[100, 100], [20, 20], [120, 100]], [0.9, 0, 0.9], boxes_xyxy=[[90, 90, 130, 110]])

    wide, narrow = (changed(draw_poses(image, each), image)[:, 110].sum() for each in (poses, small))

    assert wide > 1.3 * narrow


def test_lines_of_a_large_image_survive_shrinking() -> None:
    """A tiny person in an image four times as large as a screen has a line of more than a pixel or two."""
    counts = []
    for side in (600, 3000):
        image = canvas(side, side)
        poses = stick_poses([[100, 140], [140, 140], [120, 100]], boxes_xyxy=[[100, 100, 140, 140]])
        counts.append(changed(draw_poses(image, poses), image).sum())

    assert counts[1] > 2 * counts[0]


def test_edges_are_smooth() -> None:
    """A slanted line has pixels between its color and the ground, in the right amount: its area is length x width."""
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
    image = canvas()
    poses = stick_poses([[40, 30], [40, 31], [40, 32]])

    without, boxed = (changed(draw_poses(image, poses, boxes=boxes), image) for boxes in (False, True))

    assert not without[10, 12:68].any()
    assert boxed[10, 10:71].all()
    assert boxed[50, 10:71].all()
    assert boxed[10:51, 10].all()
    assert boxed[10:51, 70].all()
    assert not boxed[15:25, 15:65].any()


def test_boxes_show_on_every_ground() -> None:
    """A white box has a dark edge, so it shows on snow."""
    image = np.full((60, 80, 3), 255, dtype=np.uint8)

    drawn = draw_poses(image, stick_poses([[40, 30], [40, 31], [40, 32]]), boxes=True)

    assert changed(drawn, image)[9:12, 30].any()


def label(drawn: PIL.Image.Image) -> tuple[int, int, int, int] | None:
    """First and one past the last column and row of the pixels in the plates' color."""
    dark = PIL.Image.fromarray((np.asarray(drawn) == DARK).all(axis=2))
    return dark.getbbox()


def test_scores_are_written_above_the_box() -> None:
    """The plate stands on the box's upper side, in its middle, with light letters on it and nothing else changed."""
    image = canvas(200, 300)
    poses = stick_poses([[[150, 150]] * 3], 0.1, boxes_xyxy=[[100, 90, 200, 180]], pose_scores=[0.87])

    with_score, without = (draw_poses(image, poses, scores=scores) for scores in (True, False))

    assert label(without) is None
    plate = label(with_score)
    assert plate is not None
    left, top, right, bottom = plate
    assert (left + right) / 2 == pytest.approx(150, abs=1)
    assert 70 < top < bottom <= 91
    new = changed(with_score, np.asarray(without))
    new[top : bottom + 2, left:right] = False
    assert not new.any()
    assert (np.asarray(with_score)[top:bottom, left:right] > 200).all(axis=2).any()
    other = stick_poses([[[150, 150]] * 3], 0.1, boxes_xyxy=[[100, 90, 200, 180]], pose_scores=[0.12])
    assert draw_poses(image, other, scores=True).tobytes() != with_score.tobytes()


@pytest.mark.parametrize("box", [[100, -5, 200, 90], [-90, 60, 10, 120], [280, 60, 400, 120], [0, 500, 300, 600]])
def test_a_label_stays_in_the_image(box: list[float]) -> None:
    """Where the box touches the border or leaves the image its label is moved inside, whole."""
    free = label(
        draw_poses(canvas(200, 300), stick_poses([[[9, 9]] * 3], boxes_xyxy=[[100, 90, 200, 180]]), scores=True)
    )
    moved = label(draw_poses(canvas(200, 300), stick_poses([[[9, 9]] * 3], boxes_xyxy=[box]), scores=True))

    assert free is not None
    assert moved is not None
    assert moved[2] - moved[0] == pytest.approx(free[2] - free[0], abs=4)
    assert moved[3] - moved[1] == pytest.approx(free[3] - free[1], abs=4)


def test_labels_do_not_cover_each_other() -> None:
    """Of persons with one box the best has its label where it belongs, the others have theirs below it."""
    image = canvas(200, 300)
    three = stick_poses([[[9, 9]] * 3] * 3, 0.1, boxes_xyxy=[[100, 90, 200, 180]] * 3, pose_scores=[0.2, 0.9, 0.4])

    alone, together = (label(draw_poses(image, poses, scores=True)) for poses in (three[1], three))

    assert alone is not None
    assert together is not None
    assert together[1] == alone[1]
    assert together[3] - together[1] > 2.8 * (alone[3] - alone[1])


def test_labels_grow_with_the_person() -> None:
    """Letters follow the size of the person and never become too small to read."""
    heights = []
    for side in (10, 100, 1000):
        poses = stick_poses([[[9, 9]] * 3], 0.1, boxes_xyxy=[[50, 300, 50 + side, 300 + side]])
        plate = label(draw_poses(canvas(1400, 1400), poses, scores=True))
        assert plate is not None
        heights.append(plate[3] - plate[1])

    assert 10 <= heights[0] <= heights[1] < heights[2] / 1.5


def test_poses_draw_their_scores() -> None:
    """The method hands the option on."""
    poses = stick_poses([[10, 50], [70, 50], [40, 10]])

    assert poses.draw(canvas(), scores=True).tobytes() == draw_poses(canvas(), poses, scores=True).tobytes()


def test_a_box_that_is_not_finite_has_no_label() -> None:
    """There is no place for it; the others keep theirs."""
    poses = stick_poses([[[9, 9]] * 3], 0.1, boxes_xyxy=[[np.nan] * 4])

    assert label(draw_poses(canvas(), poses, scores=True)) is None


def test_what_is_outside_is_cut_off() -> None:
    """Keypoints far outside or not finite, and boxes that are not finite, cost nothing and break nothing."""
    image = canvas()
    inside = stick_poses([[10, 50], [70, 50], [40, 10]])
    outside = stick_poses([[1e7, -1e7], [-4e8, 30], [1e9, 1e9]])
    broken = stick_poses([[10, 50], [np.nan, 50], [np.inf, 10]], boxes_xyxy=[[np.nan] * 4])

    assert changed(draw_poses(image, inside), image).any()
    assert not changed(draw_poses(image, outside[:1], line_width=2), image)[:, :70].any()
    assert not changed(draw_poses(image, broken, boxes=True), image)[:, 30:].any()


def test_a_panorama_has_lines_for_persons() -> None:
    """In a very wide image a stray keypoint makes the lines no wider than a person of the image's height has."""
    image = canvas(100, 20_000)
    poses = stick_poses([[100, 90], [120, 90], [19_000, 10]])

    columns = changed(draw_poses(image, poses), image)[:, 9_000]

    assert 0 < columns.sum() < 20


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1"])
def test_pil_images_of_every_mode(mode: str) -> None:
    """A PIL image of any mode comes out as a new RGB image of its size; the one given stays as it is."""
    image = PIL.Image.fromarray(canvas()).convert(mode)
    before = image.tobytes()

    drawn = draw_poses(image, stick_poses([[10, 50], [70, 50], [40, 10]]))

    assert (drawn.mode, drawn.size) == ("RGB", image.size)
    assert tuple(np.asarray(drawn)[50, 10]) == LEFT
    assert image.tobytes() == before


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_arrays_of_every_depth(channels: tuple[int, ...]) -> None:
    """Gray, RGB and RGBA arrays come out as RGB; read-only input is fine."""
    image = np.full((60, 80, *channels), GRAY, dtype=np.uint8)
    if channels == (4,):
        image[..., 3] = 255
    image.flags.writeable = False

    drawn = np.asarray(draw_poses(image, stick_poses([[10, 50], [70, 50], [40, 10]])))

    assert drawn.shape == (60, 80, 3)
    assert tuple(drawn[50, 10]) == LEFT
    assert (drawn[0, 0] == GRAY).all()


def test_exif_orientation_is_applied() -> None:
    """Predictors read a PIL image upright, so it is drawn upright."""
    image = PIL.Image.fromarray(canvas())
    image.getexif()[0x0112] = 6

    assert draw_poses(image, stick_poses([[10, 50], [50, 50], [40, 10]])).size == (60, 80)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 90), (90, 1)])
def test_the_smallest_images(height: int, width: int) -> None:
    """One pixel is an image too, with everything drawn that can be."""
    poses = stick_poses([[0, 0], [70, 50], [40, 10]])

    assert draw_poses(canvas(height, width), poses, boxes=True, scores=True).size == (width, height)


def test_nobody_leaves_the_image_as_it_is() -> None:
    """Zero persons, whatever is asked for."""
    image = canvas()

    drawn = draw_poses(image, Poses.empty(STICK), boxes=True, scores=True)

    np.testing.assert_array_equal(np.asarray(drawn), image)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG"])
def test_drawings_can_be_saved(format_name: str) -> None:
    """PNG gives the very pixels back, JPEG nearly, neither turned again."""
    image = PIL.Image.fromarray(canvas())
    image.getexif()[0x0112] = 6
    drawn = draw_poses(image, stick_poses([[10, 50], [50, 50], [40, 10]]), line_width=6)
    file = io.BytesIO()

    drawn.save(file, format=format_name)

    with PIL.Image.open(file) as read:
        difference = np.abs(np.asarray(read).astype(int) - np.asarray(drawn))
        assert read.getexif().get(0x0112) is None
    assert difference.mean() <= (0 if format_name == "PNG" else 6)


def test_a_path_is_opened() -> None:
    """What is no image, and what is not there, is named."""
    poses = stick_poses([[1, 1], [2, 2], [3, 3]])

    with pytest.raises(FileNotFoundError, match=r"image.jpg: no such image file"):
        draw_poses("image.jpg", poses)
    with pytest.raises(ValueError, match="encoded image: expected an image, found"):
        draw_poses(b"text", poses)
    with pytest.raises(TypeError, match="expected a path, bytes, an array or a PIL image, found int"):
        draw_poses(3, poses)  # type: ignore[arg-type] # what is tested


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5, 3)), np.zeros((4, 5, 2), np.uint8), np.zeros(9, np.uint8), np.zeros((2, 4, 5, 3), np.uint8)],
)
def test_what_is_no_image_is_refused(image: npt.NDArray[Any]) -> None:
    """The error says what was found."""
    with pytest.raises(ValueError, match=r"image: expected uint8 of shape \(H, W, 3\), found") as caught:
        draw_poses(image, stick_poses([[1, 1], [2, 2], [3, 3]]))

    assert str(image.shape) in str(caught.value)


@pytest.mark.parametrize("width", [0.0, -1.0, np.nan])
def test_a_line_has_a_width(width: float) -> None:
    """Zero, negative and NaN widths are refused."""
    with pytest.raises(ValueError, match="line_width: expected a positive number"):
        draw_poses(canvas(), stick_poses([[1, 1], [2, 2], [3, 3]]), line_width=width)


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

    pixels = np.asarray(draw_poses(canvas(60, 700), poses))

    for name, (x, y) in zip(COCO_17.keypoints, keypoints[0], strict=True):
        expected = LEFT if name.startswith("left") else RIGHT if name.startswith("right") else MIDDLE[0]
        assert tuple(pixels[y, x]) == expected
