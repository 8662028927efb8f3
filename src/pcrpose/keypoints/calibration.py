"""A model's calibration: the fitted maps that turn its heatmaps into probabilities, as one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, get_args

from pcrpose.files.checks import one_of
from pcrpose.files.json import check_keys, text
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.covariance import CovarianceCalibration
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.presence import PersonScore
from pcrpose.keypoints.probability import KeypointCalibration

_PARTS: Mapping[str, type[KeypointCalibration | PersonScore | CovarianceCalibration]] = {  # fields of PassCalibration
    "probabilities": KeypointCalibration,
    "presence": PersonScore,
    "covariances": CovarianceCalibration,
    "expected_oks": KeypointCalibration,
    "labelled": KeypointCalibration,
}


@dataclass(frozen=True, kw_only=True)
class PassCalibration:
    """What was fitted on the heatmaps of one way to predict: on a crop alone, or averaged with its mirrored crop.

    Attributes:
        probabilities: that a keypoint is right.
        presence: that there is a person.
        covariances: where the true place of a keypoint may be.
        expected_oks: of each keypoint's own part of OKS, what is to be expected.
        labelled: that somebody who annotates the person labels the keypoint.

    Each is None where it was not fitted.
    """

    probabilities: KeypointCalibration | None = None
    presence: PersonScore | None = None
    covariances: CovarianceCalibration | None = None
    expected_oks: KeypointCalibration | None = None
    labelled: KeypointCalibration | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON, of the parts that there are."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: part.to_dict() for name, part in parts.items() if part is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild what `to_dict` wrote; raises ValueError for an unknown part."""
        if not isinstance(values, Mapping) or not set(values) <= set(_PARTS):
            found = sorted(values, key=str) if isinstance(values, Mapping) else f"{values!r:.80}"
            raise ValueError(f"calibration: expected the parts {sorted(_PARTS)}, found {found}")
        given: dict[str, Any] = {name: _PARTS[name].from_dict(part) for name, part in values.items()}
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The fitted maps of one model, for the keypoints, crops and decoding that they were fitted with.

    It belongs to the weights that it was fitted on: training, another skeleton and another input size drop it.

    Attributes:
        keypoints: names of the J keypoints, in the order of the heatmaps.
        input_size: of the crops.
        decoding: that the keypoints were found with.
        plain: without the mirrored crop.
        mirrored: averaged with the mirrored crop.

    Raises:
        ValueError: for an unknown decoding, or a map of another number of keypoints.
    """

    keypoints: tuple[str, ...]
    input_size: Size
    decoding: Decoding = "dark"
    plain: PassCalibration = PassCalibration()
    mirrored: PassCalibration = PassCalibration()

    def __post_init__(self) -> None:
        one_of("decoding", self.decoding, get_args(Decoding))
        for one in (self.plain, self.mirrored):
            for part in (one.probabilities, one.covariances, one.expected_oks, one.labelled):
                if part is not None and part.num_keypoints != len(self.keypoints):
                    found = part.num_keypoints
                    raise ValueError(f"calibration: expected maps of {len(self.keypoints)} keypoints, found {found}")

    def of_pass(self, *, flip: bool) -> PassCalibration:
        """Return the maps for predictions with, or without, the mirrored crop."""
        return self.mirrored if flip else self.plain

    def check_fits(self, keypoints: Sequence[str], input_size: Size) -> None:
        """Raise ValueError unless a model's keypoints and crops are those that this was fitted with."""
        for what, expected, found in (
            ("keypoints", list(keypoints), list(self.keypoints)),
            ("input size", str(input_size), str(self.input_size)),
        ):
            if expected != found:
                raise ValueError(f"calibration: expected one fitted for the {what} {expected}, found {found}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "keypoints": list(self.keypoints),
            "input_size": str(self.input_size),
            "decoding": self.decoding,
            "plain": self.plain.to_dict(),
            "mirrored": self.mirrored.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild what `to_dict` wrote; raises ValueError for a missing or unknown key or a value without meaning."""
        check_keys(values, cls.__dataclass_fields__, "calibration")
        if not isinstance(values["keypoints"], list):
            raise ValueError(f"calibration: expected a list of keypoints, found {values['keypoints']!r:.80}")  # noqa: TRY004 - file content
        return cls(
            keypoints=tuple(values["keypoints"]),
            input_size=Size.parse(text(values, "input_size", "calibration")),
            decoding=text(values, "decoding", "calibration"),  # type: ignore[arg-type] # checked by the class
            plain=PassCalibration.from_dict(values["plain"]),
            mirrored=PassCalibration.from_dict(values["mirrored"]),
        )
