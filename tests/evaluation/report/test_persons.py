"""Drawings of persons: the right part of the image, with what was found and what was annotated."""

import base64
import io

import numpy as np
import PIL.Image

from pcrpose.evaluation.report.measure import ShownPerson
from pcrpose.evaluation.report.persons import draw_person
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton

POINT = Skeleton("point", ("left", "right"), [(0, 1)], [], [0.1, 0.1])


def pose(keypoints: list[list[float]], box: list[float]) -> Poses:
    """Make one pose of two keypoints that score well."""
    return Poses(
        keypoints=np.array([keypoints]),
        keypoint_scores=np.ones((1, 2)),
        boxes_xyxy=np.array([box]),
        box_scores=np.ones(1),
        pose_scores=np.ones(1),
        skeleton=POINT,
    )


def pixels_of(data_uri: str) -> Floats:
    """Decode a drawing."""
    image = PIL.Image.open(io.BytesIO(base64.b64decode(data_uri.partition(",")[2])))
    return np.asarray(image, dtype=np.float64)


def drawn(image: Image, found: Poses, annotated: Poses) -> list[Floats]:
    """Draw and decode both."""
    person = ShownPerson(image_id=1, pose=found, annotated=annotated, oks=0.5, num_labelled=1)
    return [pixels_of(drawing) for drawing in draw_person(image, person)]


def test_region_and_places() -> None:
    """The box and a quarter more are shown, enlarged; keypoints lie where the pixels lie that they are on."""
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    image[60, 60] = 255
    box = [40.0, 40.0, 80.0, 80.0]  # with the margin 35 to 85: 51 pixels become 300
    missing = [[np.nan, np.nan], [60.0, 60.0]]
    found, annotated = drawn(image, pose([[60.0, 60.0], [70.0, 50.0]], box), pose(missing, box))

    assert found.shape == annotated.shape == (300, 300, 3)
    place = round((60 - 35 + 0.5) * 300 / 51 - 0.5)
    assert found[place, place].argmax() == 2  # left is sky blue
    assert annotated[place, place].argmax() == 0  # right is orange
    other = [round((x - 35 + 0.5) * 300 / 51 - 0.5) for x in (50, 70)]
    assert found[other[0], other[1]].max() > 150
    assert annotated[other[0], other[1]].max() < 30


def test_at_the_border() -> None:
    """Boxes beyond the image, or outside of it altogether, show what there is of it: at least a pixel."""
    image = np.full((50, 80, 3), 200, dtype=np.uint8)
    beyond = pose([[0.0, 0.0], [5.0, 5.0]], [-30.0, -30.0, 20.0, 10.0])
    outside = pose([[500.0, 0.0], [505.0, 5.0]], [500.0, 0.0, 520.0, 20.0])

    assert [drawing.shape for drawing in drawn(image, beyond, beyond)] == [(171, 300, 3)] * 2  # 28 x 16
    assert {drawing.shape for drawing in drawn(image, outside, outside)} == {(300, 12, 3)}  # 1 x 24
