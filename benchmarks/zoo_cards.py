"""Write the cards of the models that ship, from the zoo, their measurements and what is said here.

python benchmarks/zoo_cards.py
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pcrpose.models.load import load_model
from pcrpose.models.zoo import ZOO, pretrained_folder
from pcrpose.publishing.card import Card, License, Training, TrainingData, write_card
from pcrpose.publishing.measurement import read_measurements

BENCHMARKS = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a model and stands nowhere else.

    Attributes:
        measurements: file in this folder.
        training: how it was trained, and on what.
        license: of the weights.
        lacks: what is known to be weak, by looking at its best and worst persons.
    """

    measurements: str
    training: Training
    license: License
    lacks: tuple[str, ...]


COCO_PART = TrainingData(
    name="A part of COCO train2017",
    extent="10,444 persons in 4,067 images, most of them shrunk to a short side of 256 pixels",
    terms="annotations CC BY 4.0; images under the terms of Flickr",
    citation="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
)
LICENSE = License(identifier="apache-2.0", terms="Apache-2.0; what they were trained on has the terms above.")

FACTS: Mapping[str, Facts] = {
    "pcr-small": Facts(
        measurements="pcr_small_metrics.json",
        training=Training(
            method="""\
C is a part of COCO train2017. The encoder is MoveNet Thunder's trunk (Google, Apache-2.0), a MobileNetV2 of width 1.75 with folded batch
norms: the output of its block of stride 16 beside its last one's of stride 32, enlarged. Two context-aware modules of 128 and 96 channels
and an auxiliary head. Everything beyond 1.15 times a person's box is black (`blackout`, ours). Spatial cross-entropy
(`heatmaps="probability"`, ours) in the place of the paper's squared error, Muon in the place of Adam, averaged weights, cosine schedules;
the published augmentation with rotations up to 80 degrees in the place of 90, boxes whose sides move by up to 8 %, and mild changes of
color. 4 epochs with the encoder frozen (and nothing black), then 7 with its blocks from the fourth on at a fifth of the rate, depthwise
filters frozen (`examples/train_zoo.py`, runs `small-frozen` and `small-tuned`). Of 11,449 persons 1,005 were set aside
(`benchmarks/set_aside.json`). No image that it is measured on, nor a near-duplicate of one, was among the 4,439 images: a perceptual hash
found 0 of 599.""",  # noqa: E501 - Markdown
            data=(
                COCO_PART,
                TrainingData(
                    name="COCO and Google's Active set",
                    extent="through the published weights of MoveNet Thunder's trunk",
                    terms="the weights are Apache-2.0",
                    citation="Votel and Li, Next-Generation Pose Detection with MoveNet and TensorFlow.js, 2021",
                ),
            ),
            seed=0,
            epochs=11,
            crops=114_752,
        ),
        license=LICENSE,
        lacks=(
            "Two persons in one box, a child on an arm for instance, get mixed up.",
            "What a box cuts off is black to it: a box that is too tight costs hands and feet.",
            "Small spectators in a crowd get poses that are guesses.",
            "It was trained on 10,444 persons, a fourteenth of COCO's: models trained on all of it are far better.",
        ),
    ),
    "pcr-nano": Facts(
        measurements="pcr_nano_metrics.json",
        training=Training(
            method="""\
C is a part of COCO train2017. The encoder is MoveNet Lightning's trunk (Google, Apache-2.0), a MobileNetV2 of width 1.0 with folded batch
norms: the output of its block of stride 16 beside its last one's of stride 32, enlarged. Two context-aware modules of 64 channels each and
an auxiliary head. Everything beyond 1.15 times a person's box is black (`blackout`, ours). Spatial cross-entropy
(`heatmaps="probability"`, ours) in the place of the paper's squared error, Muon in the place of Adam, averaged weights, cosine schedules;
the published augmentation with rotations up to 80 degrees in the place of 90, boxes whose sides move by up to 8 %, and mild changes of
color. 4 epochs with the encoder frozen, then 4 and 5 with its blocks from the fourth on at a fifth of the rate, depthwise filters frozen,
the heatmaps of `pcr-small` learnt beside the labels (`examples/train_zoo.py`, runs `nano-frozen`, `nano-distilled` and `nano-longer`).
Of 11,449 persons 1,005 were set aside (`benchmarks/set_aside.json`), from its teacher too. No image that it is measured on, nor a
near-duplicate of one, was among the 4,439 images: a perceptual hash found 0 of 599.""",  # noqa: E501 - Markdown
            data=(
                COCO_PART,
                TrainingData(
                    name="COCO and Google's Active set",
                    extent="through the published weights of MoveNet Lightning's trunk, and Thunder's in the teacher",
                    terms="the weights are Apache-2.0",
                    citation="Votel and Li, Next-Generation Pose Detection with MoveNet and TensorFlow.js, 2021",
                ),
            ),
            seed=0,
            epochs=13,
            crops=135_616,
        ),
        license=LICENSE,
        lacks=(
            "Left and right can get swapped, of people seen from behind for instance.",
            "Two persons in one box get mixed up: the one in front may get both's keypoints.",
            "What a box cuts off is black to it: a box that is too tight costs hands and feet.",
            "Small spectators in a crowd get poses that are guesses.",
            "It was trained on 10,444 persons, a fourteenth of COCO's: models trained on all of it are far better.",
        ),
    ),
}


def build_card(name: str) -> Card:
    """Build the card of a model that ships."""
    facts = FACTS[name]
    return Card(
        entry=ZOO[name],
        config=load_model(name).config,
        measurements=read_measurements(BENCHMARKS / facts.measurements),
        training=facts.training,
        license=facts.license,
        lacks=facts.lacks,
    )


def main() -> None:
    """Write every card beside its weights."""
    for name in FACTS:
        print(write_card(pretrained_folder(name), build_card(name)))


if __name__ == "__main__":
    main()
