"""The facts of the paper, and of the public code it says it follows, as the library's defaults."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.inference.predictor import PosePredictor, Thresholds
from pcrpose.keypoints.boxes import Size, windows
from pcrpose.keypoints.oks import oks_nms, pose_scores
from pcrpose.keypoints.skeleton import AIC_14, COCO_17
from pcrpose.models.context import DILATIONS, SQUEEZE
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_model import prediction_head
from pcrpose.models.simple_baseline import SimpleBaselineConfig
from pcrpose.training.config import TrainConfig
from pcrpose.training.schedule import rate_factor
from pcrpose.training.trainer import Trainer

JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIMBS = {f"{side}_{joint}" for side in ("left", "right") for joint in JOINTS}
COCO_SIGMAS = {
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
}
SETTINGS = [
    pytest.param("resnet50", (256, 256, 256), 3, id="R50"),
    pytest.param("resnet152", (128, 96, 64), 3, id="R152"),
    pytest.param("hrnet_w32", (48,), 1, id="W32"),
    pytest.param("hrnet_w48", (48,), 1, id="W48"),
]


def default(function: object, parameter: str) -> object:
    """Look up a parameter's default."""
    assert callable(function)
    return inspect.signature(function).parameters[parameter].default


def test_coco_has_seventeen_keypoints() -> None:
    """COCO's order: the face, then limbs from the top down, left before right."""
    assert COCO_17.num_keypoints == 17
    assert COCO_17.keypoints[:7] == (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
        *("left_shoulder", "right_shoulder"),
    )
    assert COCO_17.keypoints[15:] == ("left_ankle", "right_ankle")


def test_coco_flip_pairs() -> None:
    """A mirrored image swaps every left with its right and leaves the nose."""
    assert COCO_17.flip_pairs == ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))


def test_coco_sigmas() -> None:
    """The spread that COCO's evaluation uses, the same on both sides."""
    assert COCO_17.sigmas.tolist() == [COCO_SIGMAS[name.split("_")[-1]] for name in COCO_17.keypoints]


def test_coco_sigmas_are_pycocotools() -> None:
    """They are those of the evaluation program itself."""
    from pycocotools.cocoeval import Params  # noqa: PLC0415 - only here

    assert COCO_17.sigmas == pytest.approx(Params("keypoints").kpt_oks_sigmas, rel=1e-12)


def test_ai_challenger_shares_twelve_keypoints() -> None:
    """Section 2.3: of 14 keypoints the limbs' twelve are kept by name, and COCO's face stays unlabelled there."""
    here, there = AIC_14.shared_with(COCO_17)

    assert AIC_14.num_keypoints == 14
    assert {AIC_14.keypoints[index] for index in here} == LIMBS
    assert [AIC_14.keypoints[index] for index in here] == [COCO_17.keypoints[index] for index in there]
    assert sorted(set(range(17)) - set(there.tolist())) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("encoder", "channels", "modules"), SETTINGS)
def test_settings_of_the_experiments(encoder: str, channels: tuple[int, ...], modules: int) -> None:
    """Section 3.1 gives the widths, section 3.3 K for two encoders and L = 1; K then is what a quarter needs."""
    config = PCRConfig(encoder=encoder, channels=channels)

    assert config.modules_per_decoder == modules
    assert config.num_decoders == 1
    assert config.num_upsamplings == (3 if encoder.startswith("resnet") else 0)


def test_defaults_are_table_3_s_full_row() -> None:
    """PCR (R50) with SE, HDC and AD at 256x192, batch norm after every convolution."""
    config = PCRConfig()

    assert (config.encoder, config.channels, config.num_decoders) == ("resnet50", (256, 256, 256), 1)
    assert (config.se, config.hdc, config.residual, config.auxiliary) == (True, True, True, True)
    assert config.se_norm == "batch"
    assert str(config.input_size) == "256x192"


def test_context_module_constants() -> None:
    """Section 2.1: dilations 1 to 4 with a quarter of the channels each; the gate's bottleneck is a quarter too."""
    assert DILATIONS == (1, 2, 3, 4)
    assert SQUEEZE == 4


def test_baseline_has_three_deconvolutions_of_256() -> None:
    """The baseline's decoder, in the crop geometry of its published weights."""
    config = SimpleBaselineConfig()

    assert config.channels == (256, 256, 256)
    assert config.alignment == "edge"


def test_target_spread() -> None:
    """Two cells of stride 4 at 256x192, drawn to three spreads by the published code."""
    codec = PCRConfig().codec()

    assert codec.sigma / codec.stride == 2
    assert str(codec.heatmap_size()) == "64x48"


def test_prediction_heads_start_small() -> None:
    """Heads begin as normal(0, 0.001)."""
    weight = prediction_head(4096, 17).weight.detach()

    assert float(weight.std()) == pytest.approx(0.001, rel=0.02)
    assert float(weight.mean()) == pytest.approx(0, abs=2e-5)


def test_optimizer_and_schedule() -> None:
    """Adam at 1e-3 for 210 epochs of batches of 32, a tenth from epoch 170 and a hundredth from 200."""
    config = TrainConfig()
    factors = [
        rate_factor(epoch, config.epochs, schedule=config.schedule, milestones=config.milestones)
        for epoch in (0, 169, 170, 199, 200, 209)
    ]

    assert (config.epochs, config.batch_size, config.learning_rate) == (210, 32, 1e-3)
    assert (config.warmup_steps, config.ema_decay, config.max_grad_norm) == (0, 0.0, None)
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_loss() -> None:
    """Squared error over every head; the auxiliary task's weight is ours."""
    config = TrainConfig()

    assert config.loss == "squared_error"
    assert config.auxiliary_weight == 1.0


def test_no_weight_decay(tmp_path: Path) -> None:
    """The 1e-4 of the published configurations never reaches Adam; applied, it ruins training."""
    config = PCRConfig(encoder="resnet_nano", channels=(4, 4, 4), input_size=Size(width=64, height=64))
    people = SyntheticPoses(count=1).samples()
    dataset = KeypointDataset(people, source_skeleton=COCO_17, crop=config.crop_spec)
    trainer = Trainer(PCR(config), dataset, tmp_path, TrainConfig(batch_size=1))

    assert isinstance(trainer.optimizer, torch.optim.Adam)
    assert trainer.optimizer.defaults["weight_decay"] == 0


def test_augmentation() -> None:
    """HRNet's numbers: scale 0.35, rotation 45 with probability 0.6, mirror 0.5, half body 0.3 above 8 keypoints."""
    augmentation = Augmentation()

    assert (augmentation.scale, augmentation.rotation, augmentation.rotation_probability) == (0.35, 45.0, 0.6)
    assert augmentation.mirror_probability == 0.5
    assert (augmentation.half_body_probability, augmentation.half_body_above) == (0.3, 8)
    assert augmentation.half_body_padding == 1.5
    assert augmentation.color_jitter == 0


def test_crop_window() -> None:
    """The box is extended to 3:4 and then grown by 1.25."""
    _, extents = windows([[0.0, 0.0, 30.0, 80.0]], 3 / 4)

    assert PCRConfig().padding == 1.25
    assert np.allclose(extents, [[75.0, 100.0]])


def test_rescoring_and_suppression() -> None:
    """Box score times the mean of keypoint scores above 0.2; OKS-NMS at 0.9."""
    assert default(pose_scores, "threshold") == Thresholds().keypoint == 0.2
    assert default(oks_nms, "threshold") == Thresholds().nms == 0.9


def test_flip_test_is_on() -> None:
    """Published figures average each crop with its mirror image."""
    assert default(PosePredictor, "flip") is True
