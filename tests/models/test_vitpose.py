"""ViTPose against transformers' own: heatmaps, crops and decoding; and in the hands of predictor and trainer."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.heatmap import HeatmapCodec
from pcrpose.keypoints.skeleton import AIC_14, COCO_17
from pcrpose.models.checkpoints.vitpose import from_transformers
from pcrpose.models.flops import measure_cost
from pcrpose.models.hub import load_strictly
from pcrpose.models.load import load_model
from pcrpose.models.replace_skeleton import replace_skeleton
from pcrpose.models.vitpose import VARIANTS, ViTPose, ViTPoseConfig
from pcrpose.training.config import TrainConfig
from pcrpose.training.trainer import Trainer

TINY = ViTPoseConfig(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=3, decoder="simple", input_size=Size(width=48, height=64)
)
COCO_BOXES = np.array([[412.8, 157.61, 53.05, 138.01], [20.0, 30.0, 200.0, 90.0]])  # left, top, width, height


def theirs(config: ViTPoseConfig, **backbone: Any) -> nn.Module:  # noqa: ANN401 - any field of theirs
    """Build transformers' network of a configuration, with random weights that keep values near 1."""
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation  # noqa: PLC0415 - slow

    sizes = {
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "out_indices": [config.num_hidden_layers],
        "image_size": [config.input_size.height, config.input_size.width],
    }
    with torch.device("meta"):
        network = VitPoseForPoseEstimation(
            VitPoseConfig(
                backbone_config=VitPoseBackboneConfig(**sizes, **backbone),
                num_labels=config.skeleton.num_keypoints,
                use_simple_decoder=config.decoder == "simple",
            )
        )
    network.to_empty(device="cpu")
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.dim() > 1 and "position" not in name:
                limit = (3 / tensor[0].numel()) ** 0.5
                tensor.uniform_(-limit, limit)
            elif tensor.is_floating_point():
                scale = tensor.dim() == 1 and name.endswith(("weight", "running_var"))
                tensor.uniform_(0.5, 1.5) if scale else tensor.normal_(std=0.3)
            else:
                tensor.zero_()
    built: nn.Module = network.eval()
    return built


def compare(config: ViTPoseConfig) -> None:
    """Copy transformers' random weights into ours and compare heatmaps."""
    network = theirs(config)
    with torch.device("meta"):  # fresh weights would only be written over
        model = ViTPose(config).eval()
    model.to_empty(device="cpu")
    load_strictly(model, from_transformers(network.state_dict()), "transformers")
    crops = torch.randn(1, 3, config.input_size.height, config.input_size.width)
    with torch.no_grad():
        expected, found = network(crops).heatmaps, model(crops).final

    assert expected.std(dim=(2, 3)).min() > 0.01  # each map says something
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "decoder"), [("S", "classic"), ("B", "simple"), ("L", "classic"), ("H", "simple")])
def test_every_width_gives_the_heatmaps_of_transformers(name: str, decoder: Any) -> None:  # noqa: ANN401 - a literal
    """Two blocks of each variant, random weights, either decoder."""
    whole = ViTPoseConfig(**VARIANTS[name], decoder=decoder, layer_norm_eps=1e-12)

    compare(dataclasses.replace(whole, num_hidden_layers=2))


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["classic", "simple"])
@pytest.mark.parametrize("name", ["S", "B"])
def test_whole_networks_give_the_heatmaps_of_transformers(name: str, decoder: Any) -> None:  # noqa: ANN401 - as above
    """S and B at their full depth."""
    compare(ViTPoseConfig(**VARIANTS[name], decoder=decoder, layer_norm_eps=1e-12))


def count_parameters(config: ViTPoseConfig) -> int:
    """Count trained values without allocating them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ViTPose(config).parameters())


# MiB of the weights of usyd-community's repositories, four bytes per value, as the FiftyOne model zoo lists them
# (https://docs.voxel51.com/model_zoo: vitpose-*-torch). A ViTPose+ also holds five more experts of part_features rows.
PUBLISHED_MIB = {
    ("B", "simple", 0): 327.75,  # vitpose-base-simple
    ("B", "classic", 0): 343.33,  # vitpose-base
    ("S", "classic", 96): 126.48,  # vitpose-plus-small
    ("B", "classic", 192): 478.39,  # vitpose-plus-base
    ("L", "classic", 256): 1.62 * 1024,  # vitpose-plus-large
    ("H", "classic", 320): 3.35 * 1024,  # vitpose-plus-huge
}
# Millions of the whole transformer: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, table 1; rounded.
PUBLISHED_MILLIONS = {"B": 86, "L": 307, "H": 632}


@pytest.mark.parametrize(("name", "decoder", "part"), PUBLISHED_MIB)
def test_parameters_fill_the_published_files(name: str, decoder: Any, part: int) -> None:  # noqa: ANN401 - as above
    """Our count, and what the other experts add to it, is the size of the published file of each variant."""
    config = ViTPoseConfig(**VARIANTS[name], decoder=decoder)
    others = 5 * config.num_hidden_layers * part * (4 * config.hidden_size + 1)
    expected = PUBLISHED_MIB[name, decoder, part]

    found = 4 * (count_parameters(config) + others) / 2**20

    assert found == pytest.approx(expected, rel=5e-4 if expected < 1024 else 4e-3)  # as many digits as are printed


@pytest.mark.parametrize("name", PUBLISHED_MILLIONS)
def test_transformers_are_of_the_published_sizes(name: str) -> None:
    """The simple decoder's one convolution, and a head for ImageNet, are less than what the table rounds."""
    parameters = count_parameters(ViTPoseConfig(**VARIANTS[name], decoder="simple"))

    assert parameters / 1e6 == pytest.approx(PUBLISHED_MILLIONS[name], rel=0.013)


def test_work_by_hand() -> None:
    """Twelve widths squared per patch and block, the pairs of attention twice, patches in, and one convolution out."""
    width, patches, cells = 768, 16 * 12, 64 * 48
    blocks = 12 * (12 * width**2 * patches + 2 * patches**2 * width)
    expected = blocks + patches * 16 * 16 * 3 * width + cells * 9 * width * 17

    assert measure_cost(ViTPoseConfig(decoder="simple")).gmacs == pytest.approx(expected / 1e9, rel=1e-9)


@pytest.mark.parametrize("box", COCO_BOXES)
def test_crops_are_those_of_the_published_processor(box: np.ndarray[Any, Any]) -> None:
    """Window, padding and pixel convention: image pixels go where transformers' processor sends them, and back."""
    from transformers.models.vitpose import image_processing_pil_vitpose as processor  # noqa: PLC0415 - slow

    spec = ViTPoseConfig().crop_spec
    middle, scale = processor.box_to_center_and_scale(box, image_width=192, image_height=256)
    expected = processor.get_warp_matrix(0, middle * 2.0, np.array([191, 255]), scale * 200.0)
    crops = spec.crops([[*box[:2], *(box[:2] + box[2:])]])
    cells = np.array([[0.0, 0.0], [47.0, 63.0], [10.25, 40.5]])

    np.testing.assert_allclose(crops.matrices[0], expected, rtol=1e-5, atol=1e-3)
    found = crops.inverse(ViTPoseConfig().codec().to_crop(torch.from_numpy(cells)).numpy()[None])[0]
    np.testing.assert_allclose(found, processor.transform_preds(cells, middle, scale, [64, 48]), atol=1e-3)


def test_crop_pixels_are_those_of_the_published_processor() -> None:
    """The same pixels, but for the rounding of gray levels."""
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil  # noqa: PLC0415 - slow

    image = np.asarray(np.random.default_rng(4).integers(0, 256, (40, 60, 3)), dtype=np.uint8)
    image = image.repeat(8, axis=0).repeat(8, axis=1)
    boxes = COCO_BOXES.copy()
    expected = VitPoseImageProcessorPil()(image, boxes=[boxes.tolist()], return_tensors="pt")["pixel_values"]
    config = ViTPoseConfig()
    _, pixels = config.crop_spec.cut(image, np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1))

    found = config.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2))

    difference = (found - expected).abs()
    assert difference.median() < 0.5 / 255 / 0.225
    assert (difference > 1.5 / 255 / 0.224).float().mean() < 0.01  # where a border pixel fades out, theirs is black


def test_peaks_are_refined_as_by_the_published_processor() -> None:
    """The decoding ``"udp"`` is theirs; their blur is as wide as ours of three cells, whatever its kernel."""
    from transformers.models.vitpose import image_processing_pil_vitpose as processor  # noqa: PLC0415 - slow

    codec = HeatmapCodec(input_size=Size(width=192, height=256), alignment="udp", decoding="udp", blur_kernel=3)
    cells = 6 + torch.rand(2, 17, 2) * torch.tensor([35.0, 51.0])
    heatmaps, _ = codec.encode(codec.to_crop(cells), torch.ones(2, 17))
    peaks, scores = processor.get_keypoint_predictions(heatmaps.numpy())
    expected = processor.post_dark_unbiased_data_processing(peaks, heatmaps.numpy(), kernel=3)

    found, found_scores = codec.locate(heatmaps)

    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_array_equal(found_scores, scores[..., 0])


def test_targets_have_the_published_width() -> None:
    """Gaussians of two cells, in crops of 256x192 padded by a quarter, ImageNet's mean and deviation."""
    config = ViTPoseConfig()

    assert config.codec().sigma / config.codec().stride == 2
    assert config.crop_spec == CropSpec(input_size=Size(width=192, height=256), padding=1.25, alignment="udp")
    assert (config.pixel_mean, config.pixel_std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_saved_model_is_loaded_predicts_and_mirrors(tmp_path: Path) -> None:
    """Our own folders hold it whole; what it finds in a mirrored image is mirrored."""
    model = ViTPose(TINY)
    nn.init.normal_(model.final_layer.weight)
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    image = np.random.default_rng(5).integers(0, 256, (120, 101, 3), dtype=np.uint8)
    flipped = np.ascontiguousarray(image[:, ::-1])

    poses = PosePredictor(loaded).predict(image, [[20.0, 10.0, 60.0, 100.0]])
    mirrored = PosePredictor(loaded).predict(flipped, [[40.0, 10.0, 80.0, 100.0]])

    assert type(loaded) is ViTPose
    assert loaded.config == TINY
    expected = poses.keypoints[:, COCO_17.flip_indices] * [-1, 1] + [100, 0]
    np.testing.assert_allclose(mirrored.keypoints, expected, atol=0.05)


def test_one_step_of_the_trainer(tmp_path: Path) -> None:
    """The loss is finite, and the weights move, the transformer's too."""
    model = ViTPose(TINY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    people = SyntheticPoses(count=4).samples()
    data = KeypointDataset(people, source_skeleton=COCO_17, crop=TINY.crop_spec)
    config = TrainConfig(epochs=1, batch_size=4, num_workers=0)

    Trainer(model, data, output_dir=tmp_path, config=config).train()

    after = load_model(tmp_path / "final").state_dict()
    assert all(bool(tensor.isfinite().all()) for tensor in after.values())
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"encoder", "final_layer"}


def test_the_skeleton_is_replaced() -> None:
    """A 3x3 head keeps the rows of the keypoints that both skeletons have."""
    model = ViTPose(TINY)
    other = replace_skeleton(model, AIC_14)
    before, after = COCO_17.shared_with(AIC_14)

    assert other.final_layer.weight.shape == (14, 24, 3, 3)
    assert torch.equal(model.final_layer.weight[before], other.final_layer.weight[after])
    with pytest.raises(ValueError, match=r"input_size: expected 64x48, for which encoder\.pos_embed .*, found 128x96"):
        replace_skeleton(model, AIC_14, input_size=Size(width=96, height=128))


def test_crops_of_another_size_are_refused() -> None:
    """Positions are learnt for one size."""
    with pytest.raises(ValueError, match=r"crops: expected 64x48 \(height x width\), found \(1, 3, 64, 64\)"):
        ViTPose(TINY)(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="multiples of 16"):
        ViTPose(TINY)(torch.zeros(1, 3, 60, 48))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_attention_heads": 5}, "hidden_size: expected a multiple of the 5 heads, found 768"),
        ({"hidden_size": 0}, "hidden_size: expected a positive number"),
        ({"decoder": "none"}, r"decoder: expected one of \['classic', 'simple'\]"),
        ({"input_size": Size(width=100, height=128)}, "input_size: expected multiples of 16"),
    ],
)
def test_impossible_networks_are_refused(fields: dict[str, Any], message: str) -> None:
    """Each with what was expected and found."""
    with pytest.raises(ValueError, match=message):
        ViTPoseConfig(**fields)
