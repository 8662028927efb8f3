"""Cards of converted checkpoints: the origin is named, and nothing is claimed."""

import pytest
from huggingface_hub import ModelCard

from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.publishing.converted_card import Origin, converted_card

SHA256 = "ab" * 32


@pytest.mark.parametrize(
    ("given", "identifier", "name"),
    [
        ({}, "unknown", None),
        ({"license": "mit"}, "mit", None),
        ({"license": "Research only"}, "other", "Research only"),
    ],
)
def test_the_origin_and_its_license(given: dict[str, str], identifier: str, name: str | None) -> None:
    """File, digest, names and license are there, for machines too; a license that nobody stated is unknown."""
    origin = Origin(file="hrnet.pth", sha256=SHA256, family="mmpose 1.x", network="hrnet-w32-256x192", **given)

    card = ModelCard(converted_card(origin, "HighResolutionPose", HighResolutionPoseConfig()))

    assert card.data.get("license") == identifier
    assert card.data.get("license_name") == name
    assert card.data.get("model-index") is None
    for fact in ("`hrnet.pth`", f"`{SHA256}`", "mmpose 1.x", "| RGB |", given.get("license", "unknown")):
        assert fact in card.text
    assert ("Nobody has said" in card.text) == (not given)
