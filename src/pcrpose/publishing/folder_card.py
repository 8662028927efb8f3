"""Cards of models that are not of the zoo: what their maker says, and nothing that was not measured."""

from collections.abc import Iterator
from dataclasses import dataclass

from huggingface_hub import ModelCardData

from pcrpose.publishing.card import INTENDED_USE, TAGS, TASK, USUAL_LIMITS, how_to_use, hub_results, tabulate
from pcrpose.publishing.measurement import Measurement

_NOT_MEASURED = "Its maker has not measured it, or not said so here."
_NO_RECIPE = "Its maker has not said what it was trained on, and how."


@dataclass(frozen=True, kw_only=True)
class FolderCard:
    """What a card says of a saved model or ensemble.

    Attributes:
        name: its title.
        load_as: its name for `load_model`, or for `Ensemble.load`.
        parts: one sentence per network: architecture, keypoints, crop, size.
        license: of the weights, as the Hub lists them: ``"apache-2.0"``.
        recipe: how it was trained, ``"AC->C"`` or a sentence; nothing where it is not known.
        measurements: metrics with intervals; none where nothing was measured.
        image: file name of a drawn image beside the card.
        caption: what is seen on it.
        ensemble: whether it is one.
    """

    name: str
    load_as: str
    parts: tuple[str, ...]
    license: str
    image: str
    caption: str
    recipe: str = ""
    measurements: tuple[Measurement, ...] = ()
    ensemble: bool = False

    def __str__(self) -> str:
        """Return the card's text: the Hub's metadata, then Markdown."""
        data = ModelCardData(
            library_name="pcrpose",
            pipeline_tag=TASK,
            license=self.license,
            tags=TAGS,
            model_name=self.name,
            eval_results=[result for measurement in self.measurements for result in hub_results(measurement)] or None,
        )
        paragraphs = (f"{paragraph.rstrip()}\n" for paragraph in self._paragraphs())
        return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(paragraphs)

    def _paragraphs(self) -> Iterator[str]:
        yield f"# {self.name}"
        if self.ensemble:
            yield "Several networks as one: the mean of their heatmaps."
            yield "\n".join(f"- {part}" for part in self.parts)
        else:
            yield from self.parts
        yield drawn_image(self.image, self.caption)
        yield "## Intended use"
        yield INTENDED_USE
        yield from how_to_use(self.load_as, ensemble=self.ensemble)
        if self.measurements:
            yield from tabulate(self.measurements)
        else:
            yield "## Results"
            yield _NOT_MEASURED
        yield "## Training"
        yield f"Recipe: {self.recipe}" if self.recipe else _NO_RECIPE
        yield "## License"
        yield f"The weights: `{self.license}`, as their maker says. The code is Apache-2.0."
        yield "## Limits"
        yield "\n".join(f"- {limit}" for limit in USUAL_LIMITS)


def drawn_image(image: str, caption: str) -> str:
    """Return the paragraph that shows an image of the card's folder."""
    return f"![{caption}](<{image}>)"
