"""The high-resolution encoder: branches, exchange between them, and what feeds the last one."""

import torch
from torch import nn

from pcrpose.models.encoders.hrnet import HRNETS, ExchangeModule, HRNet, HRNetConfig, downward, upward


def make_plain(module: nn.Module) -> nn.Module:
    """Let every convolution copy its first input channel's center into each output, and every batch norm pass."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.zeros_(part.weight)
            part.weight.data[:, 0, part.kernel_size[0] // 2, part.kernel_size[1] // 2] = 1.0
        elif isinstance(part, nn.BatchNorm2d):
            part.eps = 0.0
    return module.eval()


def silence_branches(module: ExchangeModule) -> None:
    """Let the residual blocks of every branch add nothing."""
    for part in module.branches.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.zeros_(part.weight)


def test_going_down_halves_and_clips_only_in_between() -> None:
    """Each step takes every second cell; the ReLU is left out at the last step."""
    features = -torch.arange(64.0).view(1, 1, 8, 8)
    once = make_plain(downward(1, 2, 1))(features)
    assert torch.equal(once, features[..., ::2, ::2].expand(1, 2, 4, 4))
    twice = make_plain(downward(1, 2, 2))(-features)
    assert torch.equal(twice, -features[..., ::4, ::4].expand(1, 2, 2, 2))
    assert torch.equal(make_plain(downward(1, 2, 2))(features), torch.zeros(1, 2, 2, 2))


def test_going_up_repeats_cells() -> None:
    """Two steps up repeat every cell four times each way, at the new width, negative values too."""
    features = torch.tensor([[[[1.0, -2.0]]]])
    raised = make_plain(upward(1, 3, 2))(features)
    expected = features.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3).expand(1, 3, 4, 8)
    assert torch.equal(raised, expected)


def test_an_exchange_sums_all_branches_at_each_resolution() -> None:
    """Output of each resolution: the positive part of its own branch plus the others, resampled."""
    module = ExchangeModule([1, 1, 1], blocks=1, outputs=3)
    make_plain(module)
    silence_branches(module)
    high, middle, low = torch.rand(1, 1, 8, 4), torch.rand(1, 1, 4, 2), -torch.rand(1, 1, 2, 1)
    outputs = module([high, middle, low])
    clipped = low.clamp_min(0)  # a branch ends with a ReLU
    up = [
        middle.repeat_interleave(2, 2).repeat_interleave(2, 3),
        clipped.repeat_interleave(4, 2).repeat_interleave(4, 3),
    ]
    assert torch.allclose(outputs[0], high + up[0] + up[1])
    assert torch.allclose(outputs[1], high[..., ::2, ::2] + middle)
    assert torch.allclose(outputs[2], high[..., ::4, ::4] + middle[..., ::2, ::2])


def test_an_exchange_ends_with_a_relu() -> None:
    """What is negative after the sum is clipped."""
    module = ExchangeModule([1, 1], blocks=1, outputs=2)
    make_plain(module)
    silence_branches(module)
    for layers in module.fuse_layers:
        for part in layers.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.data.neg_()
    outputs = module([torch.ones(1, 1, 4, 4), torch.full((1, 1, 2, 2), 3.0)])
    assert torch.equal(outputs[0], torch.zeros(1, 1, 4, 4))
    assert torch.equal(outputs[1], torch.full((1, 1, 2, 2), 2.0))


def test_an_exchange_may_feed_the_first_branch_only() -> None:
    """With one output asked for, nothing is computed for the others."""
    module = ExchangeModule([4, 8], blocks=1, outputs=1).eval()
    assert len(module([torch.rand(1, 4, 4, 4), torch.rand(1, 8, 2, 2)])) == 1
    assert len(module.fuse_layers) == 1


def test_features_keep_a_quarter_of_the_resolution() -> None:
    """The encoder gives its first branch, as wide as it is named, for no crop at all too."""
    encoder = HRNet(HRNetConfig(width=8, modules=(1, 1, 1), blocks=1)).eval()
    for batch in (0, 2):
        assert encoder(torch.zeros(batch, 3, 64, 96)).shape == (batch, 8, 16, 24)
    assert encoder.out_channels == 8


def test_every_branch_reaches_the_features() -> None:
    """The gradient of the features reaches the last block of each of the four branches."""
    encoder = HRNet(HRNetConfig(width=8, modules=(1, 1, 1), blocks=1))
    encoder(torch.randn(2, 3, 64, 64)).sum().backward()
    last = encoder.stage4[-1]
    assert isinstance(last, ExchangeModule)
    gradients = [parameter.grad for branch in last.branches for parameter in branch.parameters()]
    assert len(gradients) == 4 * 6
    assert all(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients)


def test_published_encoders_differ_only_in_width() -> None:
    """W32 and W48 have the same modules: 1, 4 and 3 exchanges with two, three and four branches."""
    assert {name: config.width for name, config in HRNETS.items()} == {"hrnet_w32": 32, "hrnet_w48": 48}
    with torch.device("meta"):
        encoder = HRNet(HRNETS["hrnet_w48"])
    assert [len(stage) for stage in (encoder.stage2, encoder.stage3, encoder.stage4)] == [1, 4, 3]
    widths = [branch[0].conv1.in_channels for branch in encoder.stage4[0].branches]  # type: ignore[union-attr] # blocks
    assert widths == [48, 96, 192, 384]
