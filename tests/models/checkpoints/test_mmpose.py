"""mmpose's names, of both versions, and ours."""

import torch

from pcrpose.models.checkpoints.mmpose import from_published

# As ``td-hm_res50`` and ``td-hm_hrnet-w32`` checkpoints name them (mmpose's resnet.py, hrnet.py, heatmap_head.py).
NAMES = {
    "backbone.conv1.weight": "encoder.conv1.weight",
    "backbone.layer1.0.downsample.1.running_var": "encoder.layer1.0.downsample.1.running_var",
    "backbone.stage4.2.fuse_layers.0.3.1.bias": "encoder.stage4.2.fuse_layers.0.3.1.bias",
    "keypoint_head.deconv_layers.0.weight": "deconv_layers.0.weight",
    "keypoint_head.deconv_layers.7.running_mean": "deconv_layers.7.running_mean",
    "keypoint_head.final_layer.weight": "final_layer.weight",
    "head.deconv_layers.3.weight": "deconv_layers.3.weight",
    "head.final_layer.bias": "final_layer.bias",
    "data_preprocessor.mean": "data_preprocessor.mean",
}


def test_both_versions_are_renamed() -> None:
    """Only what stands before the original names is exchanged; other names stay, to be refused."""
    tensors = {name: torch.zeros(index) for index, name in enumerate(NAMES)}

    renamed = from_published(tensors)

    assert list(renamed) == list(NAMES.values())
    assert all(renamed[ours] is tensors[theirs] for theirs, ours in NAMES.items())
    assert from_published({}) == {}
