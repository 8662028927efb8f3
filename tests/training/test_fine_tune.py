"""Fine-tuning: the policy for small data sets, in Python as on the command line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.calibration import Calibration
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.training.events import Event, Saved
from pcrpose.training.fine_tune import FineTune, choose_cache, learning_config, loss_of
from pcrpose.training.trainer import Trainer

FACE = Skeleton("face", ["chin", "right_eye", "left_eye"], [(2, 1)], [], [0.04] * 3)
CONFIG = PCRConfig(
    encoder="resnet_nano", channels=(16, 16, 16), se_norm="none", input_size=Size(width=64, height=96), skeleton=FACE
)


def test_a_models_own_skeleton_is_kept() -> None:
    """The same names from a file that says no more leave the model's sigmas; a skeleton that is given does not."""
    from_file = Skeleton("face", FACE.keypoints, [(1, 2)], [], [0.07] * 3)
    model = PCR(CONFIG)

    assert FineTune().prepare(model, from_file) is model
    assert FineTune(input_size=CONFIG.input_size).prepare(model, from_file) is model
    assert FineTune().prepare(model, from_file, keep=False).config.skeleton == from_file
    smaller = Size(width=32, height=64)
    assert FineTune(input_size=smaller).prepare(model, from_file).config == replace(CONFIG, input_size=smaller)
    assert learning_config(CONFIG, from_file, input_size=smaller) == replace(CONFIG, input_size=smaller)


def test_a_calibrated_model_can_learn() -> None:
    """Other crops and keypoints are no mistake of the user's: what was fitted for the old ones is left behind."""
    calibration = Calibration(keypoints=FACE.keypoints, input_size=CONFIG.input_size)
    model = PCR(replace(CONFIG, calibration=calibration))
    stick = Skeleton("stick", ["chin", "tip"], [], [], [0.04] * 2)

    assert FineTune().prepare(model, FACE) is model  # the trainer drops it
    assert FineTune().prepare(model, stick).config.calibration is None
    assert learning_config(model.config, FACE, input_size=Size(width=32, height=64)).calibration is None


def test_the_loss_of_heatmaps() -> None:
    """Each kind has one."""
    assert loss_of(CONFIG) == "squared_error"
    assert loss_of(replace(CONFIG, heatmaps="probability")) == "cross_entropy"


def test_small_data_is_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images with persons count, those of all parts together."""
    path = write_synthetic_coco(tmp_path, 3, size=Size(width=100, height=50))
    content = json.loads(path.read_text())
    content["annotations"].pop()
    data = read_coco(content, tmp_path)
    monkeypatch.setattr("pcrpose.training.fine_tune.CACHED_BYTES", 3 * 2 * 100 * 50)

    assert choose_cache([data], reduce_jpegs=False) == "decoded"
    assert choose_cache([data, data], reduce_jpegs=False) == "none"
    assert choose_cache([data], reduce_jpegs=True) == "reduced"


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 0), ("learning_rate", -1.0), ("color_jitter", -0.1), ("seed", -1)]
)
def test_settings_check_themselves(name: str, value: Any) -> None:  # noqa: ANN401 - any field
    """What has no meaning is refused by name."""
    with pytest.raises(ValueError, match=name):
        FineTune(**{name: value})


def test_the_settings_of_a_run() -> None:
    """Thirty epochs of 40 persons in batches of 32: the batch is no larger than the data, ten validations."""
    config = FineTune().config(40, replace(CONFIG, heatmaps="probability"))

    assert (config.epochs, config.batch_size, config.learning_rate) == (30, 32, 1e-3)
    assert (config.schedule, config.warmup_steps, config.loss) == ("cosine", 3, "cross_entropy")
    assert (config.ema_decay, config.max_grad_norm, config.freeze_statistics) == (0.99, 5.0, True)
    assert (config.validate_every_epochs, config.log_every_steps) == (3, 1)
    assert FineTune().config(9, CONFIG).batch_size == 9


def test_a_model_learns_other_keypoints_from_a_teacher(tmp_path: Path, make_model: Any) -> None:  # noqa: ANN401 - a builder
    """One call: heads for the data's keypoints, a teacher beside the labels, the best model kept."""
    annotations = write_synthetic_coco(tmp_path / "data", 8)
    data = read_coco(annotations, annotations.parent / "images")
    saved: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Saved):
            saved.append(event.folder.name)

    settings = FineTune(epochs=1, batch_size=4, num_workers=0, teacher=make_model(), teacher_weight=0.5)
    final = settings.train(make_model(), data, tmp_path / "run", (data, CocoEvaluator(annotations)), on_event=note)

    assert final == tmp_path / "run/final"
    assert load_model(final).config == make_model().config
    assert saved == ["best", "last", "final"]
    record = json.loads((tmp_path / "run/train_config.json").read_text())
    assert record["teacher_weight"] == 0.5
    assert len(record["teacher"]) == 64


def test_new_heads_follow_the_seed(
    tmp_path: Path,
    make_model: Any,  # noqa: ANN401 - a builder
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller's random state does not matter; another seed makes other heads."""
    path = write_synthetic_coco(tmp_path, 4)
    content = json.loads(path.read_text())
    content["categories"][0]["keypoints"][0] = "snout"
    data = read_coco(content, tmp_path / "images")
    make_model().save_pretrained(tmp_path / "start")
    heads: list[torch.Tensor] = []

    def note(trainer: Trainer) -> Path:
        heads.append(trainer.model.state_dict()["heads.0.weight"])
        return tmp_path

    monkeypatch.setattr(Trainer, "train", note)
    for state, seed in ((1, 0), (2, 0), (3, 1)):
        torch.manual_seed(state)
        FineTune(seed=seed, num_workers=0).train(tmp_path / "start", data, tmp_path / "run")

    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_crops_follow_the_seed(tmp_path: Path) -> None:
    """Another seed is another augmentation, not only another order."""
    annotations = write_synthetic_coco(tmp_path, 2)
    data = read_coco(annotations, annotations.parent / "images")

    assert FineTune(seed=3).crops(data, PCRConfig()).seed == 3
