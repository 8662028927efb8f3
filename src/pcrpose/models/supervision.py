"""Supervision of a network's heads: the spread of their targets, their weights, and hard keypoints."""

from dataclasses import dataclass, field

from pcrpose.files.checks import at_least, positive


@dataclass(frozen=True, kw_only=True)
class HeadSupervision:
    """How the heatmaps of one head are compared with the labels.

    Attributes:
        sigma: of the target Gaussians, crop pixels; None takes the configuration's.
        weight: factor on the head's loss.
        hardest: count only so many keypoints of every crop, those of the largest loss (online hard keypoint mining);
            None counts all.

    Raises:
        ValueError: for a sigma that is not positive, a negative weight, or fewer than one keypoint.
    """

    sigma: float | None = None
    weight: float = 1.0
    hardest: int | None = None

    def __post_init__(self) -> None:
        at_least("weight", self.weight, 0)
        if self.sigma is not None:
            positive("sigma", self.sigma)
        if self.hardest is not None:
            at_least("hardest", self.hardest, 1)


@dataclass(frozen=True, kw_only=True)
class Supervision:
    """How all heads of a network are supervised.

    Attributes:
        final: of the head whose heatmaps are decoded.
        auxiliary: of the others, in the order of ``HeatmapOutput.auxiliary``; None supervises them all as
            ``HeadSupervision()`` says.
    """

    final: HeadSupervision = field(default_factory=HeadSupervision)
    auxiliary: tuple[HeadSupervision, ...] | None = None

    @property
    def mines_keypoints(self) -> bool:
        """Whether a head counts only its hardest keypoints."""
        return any(head.hardest is not None for head in (self.final, *(self.auxiliary or ())))


def check_hardest(hardest: int | None, heatmaps: str) -> None:
    """Raise ValueError for hard keypoints that cannot be mined: none, or in ``"probability"`` heatmaps."""
    if hardest is None:
        return
    at_least("hardest", hardest, 1)
    if heatmaps != "gaussian":
        raise ValueError(f"hardest: expected None with {heatmaps!r} heatmaps, found {hardest}")
