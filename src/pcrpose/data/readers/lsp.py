"""Leeds Sports Pose and its extended training set."""

from pathlib import Path

import numpy as np

from pcrpose.data.readers.mat_file import load_mat
from pcrpose.data.readers.person_list import PersonList
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.skeleton import LSP_14

MARGIN = 0.15  # round the labelled keypoints, in units of their longer extent

_LSP_VISIBILITY = np.array([2, 1])  # at 0 visible, 1 hidden
_LSPET_VISIBILITY = np.array([0, 2])  # at 0 not labelled, 1 labelled
_NUM_VALUES = 3


def read_lsp(annotations: str | Path, images: str | Path) -> AnnotatedPersons:
    """Read ``joints.mat`` of Leeds Sports Pose (LSP) or of its extended training set (LSPET).

    The two differ, and the shape of the array shows which one it is:

    |       | shape of ``joints`` | third value                | images        |
    |-------|---------------------|----------------------------|-----------------|
    | LSP   | ``(3, 14, N)``      | 1 hidden, 0 visible        | ``im0001.jpg``  |
    | LSPET | ``(14, 3, N)``      | 1 labelled, 0 not labelled | ``im00001.jpg`` |

    Coordinates are MATLAB's, which count from 1, and are moved by one pixel. There are no boxes: a person's is
    the extent of the labelled keypoints, grown by `MARGIN` of its longer side on all four sides and clipped to the
    image. Image ids are the numbers in the images' names. Images that are missing or broken are left out with a
    warning; persons without a box of some size are left out and counted in the log.

    Args:
        annotations: the file.
        images: folder of the images.

    Raises:
        FileNotFoundError: if there is no such file, or none of its images is in the folder.
        ValueError: if it is no whole MATLAB file, has no variable ``joints``, or that has another shape or a third
            value other than 0 and 1.

    Source:
        The data sets' README files. That the third value means the opposite in LSP is in the MATLAB code published
        with Convolutional Pose Machines (``genJSON.m``). The margin is ours.
    """
    joints = np.asarray(load_mat(annotations, "joints"))
    joints = joints[..., None] if joints.ndim == 2 else joints  # noqa: PLR2004 - a single person
    if joints.shape[:2] == (_NUM_VALUES, LSP_14.num_keypoints):
        people, meaning, pattern = joints.transpose(2, 1, 0), _LSP_VISIBILITY, "im{:04d}.jpg"
    elif joints.shape[:2] == (LSP_14.num_keypoints, _NUM_VALUES):
        people, meaning, pattern = joints.transpose(2, 0, 1), _LSPET_VISIBILITY, "im{:05d}.jpg"
    else:
        expected = "(3, 14, N) as LSP has it or (14, 3, N) as LSPET has it"
        raise ValueError(f"{annotations}: expected 'joints' of shape {expected}, found {joints.shape}")
    if people.dtype.kind not in "uif" or not np.isin(people[..., 2], (0, 1)).all():
        raise ValueError(f"{annotations}: expected numbers in 'joints' and 0 or 1 as the third of each keypoint")
    persons = PersonList(str(annotations), images, LSP_14)
    for number, values in enumerate(people.astype(np.float64), start=1):
        image = persons.open_listed(pattern.format(number))
        if image is None:
            persons.leave_out("in images that are missing or broken")
            continue
        visibility = meaning[values[:, 2].astype(int)]
        keypoints = values[:, :2] - 1
        last = (image.size.width - 1, image.size.height - 1)
        box = np.clip(_box(keypoints[visibility > 0]), 0, (*last, *last))
        persons.add(image, box, keypoints, visibility, f"{annotations}: person {number}")
    return persons.finish()


def _box(labelled: Floats) -> Floats:
    if not len(labelled):
        return np.zeros(4)
    low, high = labelled.min(axis=0), labelled.max(axis=0)
    margin = MARGIN * (high - low).max()
    return np.concatenate([low - margin, high + margin])
