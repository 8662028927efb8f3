"""A card says everything that a user needs to know, in the Hub's form, and nothing that was not measured."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from huggingface_hub import ModelCard

from pcrpose.keypoints.boxes import Size
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.zoo import Metric, ZooEntry
from pcrpose.publishing.card import Card, License, Training, TrainingData, write_card
from pcrpose.publishing.measurement import Measurement

KEY, OTHER_KEY = "coco-subset-99/annotated", "coco-subset-99/yolox-nano"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def config() -> PCRConfig:
    """Describe a network that is quickly built."""
    size = Size(width=32, height=64)
    return PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), se_norm="none", input_size=size, sigma=6.0)


@pytest.fixture
def card(config: PCRConfig, measurement: Measurement) -> Card:
    """Fill in a card."""
    return Card(
        entry=ZooEntry(
            name="pcr-tiny",
            architecture="PCR",
            recipe="AC",
            summary="Smaller than small.",
            parameters=2_870_410,
            gmacs=0.2538,
            input_size="64x32",
            license="other",
            metrics={"coco-subset-99/annotated": {"AP": Metric(0.123, 0.1, 0.15), "AR": Metric(0.2, 0.15, 0.25)}},
            data="Two sets.",
        ),
        config=config,
        measurements=(measurement, dataclasses.replace(measurement, boxes="a detector's | rough", flip=False)),
        training=Training(
            method="A stands for Leeds here.",
            data=(
                TrainingData(
                    name="COCO train2017", extent="8,129 persons", terms="CC BY 4.0.", hub_id="detection-datasets/coco"
                ),
                TrainingData(
                    name="Leeds Extended", extent="10,000 persons", terms="for research", citation="Johnson, CVPR 2011."
                ),
            ),
            seed=7,
            epochs=46,
            crops=630_000,
        ),
        license=License(identifier="other", name="research-use-with-citation", terms="For research, with citation."),
        lacks=("Wrists are often wrong.", "Small persons too."),
    )


def test_the_hub_reads_its_metadata(card: Card) -> None:
    """License, library, task, tags, data sets and every metric come out of the front matter as they went in."""
    data: Any = ModelCard(str(card)).data  # its fields are declared in no class

    assert (data.license, data.license_name) == ("other", "research-use-with-citation")
    assert (data.library_name, data.pipeline_tag) == ("pcrpose", "keypoint-detection")
    assert "pose-estimation" in data.tags
    assert data.datasets == ["detection-datasets/coco"]
    assert data.model_name == "pcr-tiny"
    assert [(result.metric_name, result.metric_value) for result in data.eval_results][:2] == [
        ("AP (boxes: annotated; with the mirrored crop)", 0.123),
        ("AP50 (boxes: annotated; with the mirrored crop)", 0.4),
    ]
    assert {result.dataset_name for result in data.eval_results} == {"subset of COCO val2017 (99 images, 303 persons)"}
    assert len(data.eval_results) == 8


def test_a_plain_license_needs_no_name(card: Card) -> None:
    """The Hub knows common licenses by their identifier; no empty keys are written."""
    plain = dataclasses.replace(
        card,
        entry=dataclasses.replace(card.entry, license="apache-2.0"),
        license=License(identifier="apache-2.0", terms="Do what Apache-2.0 allows."),
    )
    plain = dataclasses.replace(plain, training=dataclasses.replace(card.training, data=card.training.data[1:]))

    head = str(plain).split("---")[1]

    assert "license: apache-2.0\n" in head
    assert "license_name" not in head
    assert "datasets" not in head


@pytest.mark.parametrize(
    "stated",
    [
        "# pcr-tiny\n\nSmaller than small.\n\nPCR: 17 keypoints (COCO_17) from a 64x32 (height x width) crop",
        "of one person, 2.87 M parameters, 0.25 GMACs per crop.\n",
        "## Intended use\n\nFor finding the keypoints",
        "do not decide anything about a person",
        "95 % intervals, bootstrap over images.",
        "Decoding: `dark`.",
        "| data | boxes | mirrored crop | AP | AP50 | AP75 | AR |\n|",
        "| subset of COCO val2017 (99 images, 303 persons) | annotated | averaged in | 0.123 (0.100 to 0.150) | 0.400",
        "| 0.400 (0.300 to 0.500) | 0.050 (0.000 to 0.100) | 0.200 (0.150 to 0.250) |\n",
        r"| a detector's \| rough | no | 0.123",
        "Recipe `AC`. A stands for Leeds here.\n\nSeed 7, 46 epochs, 630,000 crops seen.\n",
        "- COCO train2017, 8,129 persons: CC BY 4.0.\n- Leeds",
        "- Leeds Extended, 10,000 persons: for research. Please cite: Johnson, CVPR 2011.\n",
        "The weights: For research, with citation. The code is Apache-2.0.\n",
        "## Limits\n\n- Wrists are often wrong.\n- Small persons too.\n- It sees one box at a time",
    ],
)
def test_it_states_what_a_user_needs(stated: str, card: Card) -> None:
    """Use, metrics with data, boxes and interval, training, terms, limits: each where it belongs."""
    assert stated in str(card)


def test_its_code_runs_and_is_short(
    card: Card, config: PCRConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader's five lines load the model, find a pose and draw it."""
    monkeypatch.chdir(tmp_path)
    PCR(config).save_pretrained("somewhere")
    PIL.Image.new("RGB", (400, 540), "gray").save("image.jpg")
    (code,) = FENCE.findall(str(dataclasses.replace(card, load_as="somewhere")))

    exec(code, {})  # noqa: S102 - what is tested

    assert len([line for line in code.splitlines() if line]) == 5
    with PIL.Image.open("poses.png") as drawn:
        assert drawn.size == (400, 540)
    assert 'load_model("pcr-tiny")' in str(card)


def test_a_card_is_written_whole_beside_its_image(card: Card, tmp_path: Path) -> None:
    """The file is README.md, an older one is replaced, nothing else is left behind."""
    (tmp_path / "README.md").write_text("old")
    (tmp_path / "drawn poses.jpg").write_bytes(b"")
    imaged = dataclasses.replace(card, image="drawn poses.jpg")

    path = write_card(tmp_path, imaged)

    assert path.read_text(encoding="utf-8") == str(imaged)
    assert "![Poses that pcr-tiny found](<drawn poses.jpg>)\n" in str(imaged)
    assert "![" not in str(card)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "drawn poses.jpg"]


def test_writing_fails_whole(card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing breaks off, the old card is as it was and nothing lies beside it."""
    (tmp_path / "README.md").write_text("old")

    def fail(_: Path, __: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_card(tmp_path, card)

    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("image", ["/poses.jpg", "../poses.jpg", "folder\\poses.jpg"])
def test_a_image_elsewhere_is_refused(image: str, card: Card, tmp_path: Path) -> None:
    """A card travels with its folder, so its image has to."""
    with pytest.raises(ValueError, match="image: expected a name inside"):
        write_card(tmp_path, dataclasses.replace(card, image=image))


def test_missing_things_are_missing(card: Card, tmp_path: Path) -> None:
    """A card is written into a model's folder, and its image first."""
    with pytest.raises(FileNotFoundError, match="nowhere: expected the folder of the model"):
        write_card(tmp_path / "nowhere", card)
    with pytest.raises(FileNotFoundError, match=r"expected the card's image 'poses.jpg' in it"):
        write_card(tmp_path, dataclasses.replace(card, image="poses.jpg"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_card_must_say_is_asked_for(card: Card, measurement: Measurement) -> None:
    """No measurements, no data, no limits, or intervals that do not mean the same."""
    no_data = dataclasses.replace(card.training, data=())
    lacking: list[tuple[str, dict[str, Any]]] = [
        ("card of pcr-tiny: expected measurements, found none", {"measurements": ()}),
        ("card of pcr-tiny: expected training.data, found none", {"training": no_data}),
        ("card of pcr-tiny: expected lacks, found none", {"lacks": ()}),
        (
            r"measurements: expected intervals of one confidence, found \[0.9, 0.95\]",
            {"measurements": (measurement, dataclasses.replace(measurement, confidence=0.9))},
        ),
    ]
    for message, changes in lacking:
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(card, **changes)


def test_the_zoo_claims_what_was_measured_with_the_mirrored_crop(card: Card, measurement: Measurement) -> None:
    """A row without it changes nothing, wherever it stands, and is not enough alone."""
    plain = dataclasses.replace(measurement, flip=False, metrics={**measurement.metrics, "ap": 0.1})

    assert dataclasses.replace(card, measurements=(measurement, plain)).entry == card.entry
    with pytest.raises(ValueError, match=r"AP 0\.123 \(.*\) is not measured, found \{\}"):
        dataclasses.replace(card, measurements=(plain,))


def test_the_zoo_may_claim_only_what_is_measured(card: Card) -> None:
    """A license, metric or end of an interval that is not the card's is refused, and other boxes are other rows."""
    changes: list[tuple[dict[str, Any], str]] = [
        ({"metrics": {KEY: {"AP": Metric(0.124, 0.1, 0.15)}}}, r"annotated: AP 0\.124 \(.*\) is not measured"),
        ({"metrics": {KEY: {"AP": Metric(0.123, 0.1, 0.151)}}}, r"AP 0\.123 \(0\.100 to 0\.151\) is not measured"),
        ({"metrics": {KEY: {"AP50": Metric(0.123, 0.1, 0.15)}}}, "AP50 0"),
        ({"metrics": {KEY: {"PCK": Metric(0.123, 0.1, 0.15)}}}, "PCK 0"),
        ({"metrics": {OTHER_KEY: {"AP": Metric(0.123, 0.1, 0.15)}}}, r"yolox-nano: AP .* is not measured, found \{\}"),
        ({"license": "mit"}, "pcr-tiny: license: expected 'other', found 'mit'"),
    ]
    for change, message in changes:
        entry = dataclasses.replace(card.entry, **change)
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(card, entry=entry)
