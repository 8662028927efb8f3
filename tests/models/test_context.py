"""The context-aware module: figure 2 and equation 1, branch by branch and by hand."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pcrpose.models.context import ChannelContext, ContextAwareModule, Residual, SeNorm, SpatialContext


def exact(module: nn.Module) -> nn.Module:
    """Put into evaluation mode with batch norms that, freshly built, change nothing at all."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0.0
    return module.eval()


def tap(convolution: nn.Module, values: Tensor, row: int, column: int) -> None:
    """Set a convolution's weights to ``values`` at one place of the kernel and to zero elsewhere."""
    weight = convolution.get_parameter("weight").data
    weight.zero_()
    weight[:, :, row, column] = values


def sigmoid(value: float) -> float:
    """Compute the logistic function of one number."""
    return 1 / (1 + math.exp(-value))


def test_the_channel_gate_by_hand() -> None:
    """Global mean, 1x1 to a quarter, ReLU, 1x1 back, sigmoid."""
    gate = ChannelContext(2, 4, "none")
    tap(gate.squeeze, torch.tensor([[1.0, -2.0]]), 0, 0)
    tap(gate.excite, torch.tensor([[0.0], [1.0], [-0.5], [2.0]]), 0, 0)
    assert gate.squeeze.bias is not None
    assert gate.excite.bias is not None
    gate.squeeze.bias.data.fill_(0.5)
    gate.excite.bias.data.copy_(torch.tensor([0.0, 0.0, 1.0, -1.0]))
    features = torch.tensor([[[[4.0, 2.0]], [[2.0, -1.0]]], [[[0.0, 0.0]], [[1.0, 1.0]]]])
    squeezed = 3.0 - 2 * 0.5 + 0.5  # the second sample's is negative, so its gates come from the biases alone
    expected = [
        [sigmoid(0), sigmoid(squeezed), sigmoid(1 - squeezed / 2), sigmoid(2 * squeezed - 1)],
        [0.5, 0.5, sigmoid(1), sigmoid(-1)],
    ]
    found = gate(features)
    assert found.shape == (2, 4, 1, 1)
    torch.testing.assert_close(found[..., 0, 0], torch.tensor(expected))


def test_the_papers_gate_has_batch_norm_after_both_convolutions() -> None:
    """With ``norm="batch"`` both 1x1 convolutions have no bias and a batch norm each, here 2 x + 1 and 3 x - 1."""
    gate = ChannelContext(1, 4, "batch").eval()
    assert gate.squeeze.bias is None
    assert gate.excite.bias is None
    for norm, scale, shift in ((gate.squeeze_bn, 2.0, 1.0), (gate.excite_bn, 3.0, -1.0)):
        assert isinstance(norm, nn.BatchNorm2d)
        norm.eps = 0.0
        norm.weight.data.fill_(scale)
        norm.bias.data.fill_(shift)
    tap(gate.squeeze, torch.tensor([[1.0]]), 0, 0)
    tap(gate.excite, torch.tensor([[0.0], [0.1], [-0.1], [1.0]]), 0, 0)
    squeezed = 2 * 1.5 + 1
    expected = [sigmoid(3 * weight * squeezed - 1) for weight in (0.0, 0.1, -0.1, 1.0)]
    torch.testing.assert_close(gate(torch.full((1, 1, 3, 2), 1.5)).flatten(), torch.tensor(expected))


def spatial_context(stride: int, *, output_relu: bool, sign: float = 1.0) -> SpatialContext:
    """Build dilated branches that move the input down and right by their rate, joined channel by channel."""
    module = SpatialContext(1, 4, stride=stride, output_relu=output_relu)
    exact(module)
    for branch in module.dilated:
        assert isinstance(branch, nn.Sequential)
        tap(branch[0], torch.ones(1, 1), 0, 0)
    tap(module.join, sign * torch.eye(4), 1, 1)
    return module


def moved(features: Tensor, distance: int) -> Tensor:
    """Move an image down and right, zeros coming in."""
    rows, columns = features.shape[-2:]
    return functional.pad(features, (distance, 0, distance, 0))[..., :rows, :columns]


def test_dilated_branches_reach_1_2_3_4_cells_in_that_order() -> None:
    """Channel i of the joined features comes from the branch whose dilation is i + 1."""
    features = torch.arange(1.0, 43.0).view(1, 1, 7, 6)
    found = spatial_context(1, output_relu=True)(features)
    assert torch.equal(found, torch.cat([moved(features, rate) for rate in (1, 2, 3, 4)], dim=1))


def test_the_transposed_convolution_doubles_the_resolution() -> None:
    """At stride 2 each cell's inner tap lands on the even rows and columns of the output."""
    features = torch.arange(1.0, 21.0).view(1, 1, 4, 5)
    found = spatial_context(2, output_relu=False)(features)
    assert found.shape == (1, 4, 8, 10)
    assert torch.equal(found[..., ::2, ::2], torch.cat([moved(features, rate) for rate in (1, 2, 3, 4)], dim=1))
    found[..., ::2, ::2] = 0
    assert not found.any()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("output_relu", [False, True])
def test_the_join_is_clipped_when_asked(stride: int, *, output_relu: bool) -> None:
    """A negative join is kept or clipped as the option says."""
    found = spatial_context(stride, output_relu=output_relu, sign=-1.0)(torch.ones(1, 1, 6, 6))
    assert found.min() == (0 if output_relu else -1)


def test_dilated_branches_are_clipped() -> None:
    """ReLU follows every dilated convolution: what is negative there reaches nothing."""
    assert not spatial_context(1, output_relu=False)(-torch.ones(1, 1, 6, 6)).any()


@pytest.mark.parametrize(("stride", "clipped"), [(1, True), (2, False)])
def test_the_paper_clips_the_join_at_stride_1_only(stride: int, *, clipped: bool) -> None:
    """Read literally: ReLU after convolutional layers of the branch, not after the transposed one."""
    module = ContextAwareModule(4, 8, stride=stride)
    assert isinstance(module.hdc, SpatialContext)
    assert module.hdc.output_relu is clipped
    for asked in (False, True):
        chosen = ContextAwareModule(4, 8, stride=stride, output_relu=asked).hdc
        assert isinstance(chosen, SpatialContext)
        assert chosen.output_relu is asked


class UpsampledFirst(nn.Module):
    """The residual branch as the paper draws it: up-sampling, then 1x1 convolution and batch norm."""

    def __init__(self, ours: Residual) -> None:
        super().__init__()
        self.project = nn.Conv2d(ours.project.in_channels, ours.project.out_channels, 1, bias=False)
        self.project_bn = nn.BatchNorm2d(ours.project.out_channels)
        self.load_state_dict(ours.state_dict())

    def forward(self, features: Tensor) -> Tensor:
        """Compute the branch at the high resolution."""
        enlarged = features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        normalized: Tensor = self.project_bn(self.project(enlarged))
        return normalized


def test_the_cheap_residual_equals_the_papers() -> None:
    """Same outputs and gradients to 1e-5 in training and evaluation; running variances differ by ``n / (n - 1)``."""
    ours = Residual(6, 8, stride=2)
    nn.init.uniform_(ours.project_bn.weight, 0.5, 2.0)
    nn.init.normal_(ours.project_bn.bias)
    papers = UpsampledFirst(ours)
    features, pull = torch.randn(3, 6, 5, 4) * 2 + 1, torch.randn(3, 8, 10, 8)
    outputs = [module(features) for module in (ours, papers)]
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    for output in outputs:
        (output * pull).mean().backward()
    for mine, theirs in zip(ours.parameters(), papers.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-5)

    torch.testing.assert_close(ours.project_bn.running_mean, papers.project_bn.running_mean)
    cells = 3 * 5 * 4
    ratio = (cells / (cells - 1)) / (4 * cells / (4 * cells - 1))
    batch_shares = [module.get_buffer("project_bn.running_var") - 0.9 for module in (ours, papers)]
    torch.testing.assert_close(batch_shares[0], batch_shares[1] * ratio, rtol=1e-4, atol=1e-6)

    papers.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours.eval()(features), papers.eval()(features), rtol=1e-5, atol=1e-5)


def test_the_residual_keeps_the_resolution_at_stride_1() -> None:
    """Without up-sampling it is a 1x1 convolution and batch norm, and there is no ReLU."""
    branch = Residual(2, 4, stride=1)
    exact(branch)
    tap(branch.project, torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [2.0, 3.0]]), 0, 0)
    found = branch(torch.tensor([[[[1.0, 2.0]], [[3.0, -4.0]]]]))
    assert found.tolist() == [[[[1.0, 2.0]], [[3.0, -4.0]], [[-1.0, -2.0]], [[11.0, -8.0]]]]


@pytest.mark.parametrize("stride", [1, 2])
def test_equation_1_by_hand(stride: int) -> None:
    """``relu(SE(x) * HDC(x) + RES(x))`` of a constant input, every number worked out on paper."""
    module = ContextAwareModule(1, 4, stride=stride, se_norm="none", output_relu=True)
    exact(module)
    assert module.se is not None
    assert module.res is not None
    assert isinstance(module.hdc, SpatialContext)
    tap(module.se.squeeze, torch.tensor([[1.0]]), 0, 0)
    tap(module.se.excite, torch.tensor([[0.0], [0.5], [-1.0], [1.0]]), 0, 0)
    for convolution, bias in ((module.se.squeeze, -1.0), (module.se.excite, 0.0)):
        assert convolution.bias is not None
        convolution.bias.data.fill_(bias)
    for branch, weight in zip(module.hdc.dilated, (1.0, 2.0, 1.0, -1.0), strict=True):
        assert isinstance(branch, nn.Sequential)
        tap(branch[0], torch.tensor([[weight]]), 1, 1)
    tap(module.hdc.join, torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0])), 1, 1)
    tap(module.res.project, torch.tensor([[1.0], [-1.0], [-2.0], [0.5]]), 0, 0)
    found = module(torch.full((1, 1, 2, 3), 3.0))
    # squeezed to relu(3 - 1), so the gates are sigmoid(0, 1, -2, 2); the dilated branches give relu(3, 6, 3, -3),
    # the join relu(3, 6, -3, 0), and the residual branch 3, -3, -6 and 1.5
    expected = torch.tensor([0.5 * 3 + 3, sigmoid(1) * 6 - 3, 0.0, 1.5])
    corner = found[0, :, ::stride, ::stride]
    torch.testing.assert_close(corner, expected[:, None, None].expand(4, 2, 3))
    assert found.shape == (1, 4, 2 * stride, 3 * stride)
    if stride == 2:  # the transposed kernel's tap leaves the cells in between to the residual branch
        between = torch.tensor([3.0, 0.0, 0.0, 1.5])
        torch.testing.assert_close(found[0, :, 1::2, 1::2], between[:, None, None].expand(4, 2, 3))


@pytest.mark.parametrize("se_norm", ["batch", "none"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("in_channels", [6, 8])
def test_equation_1_joins_the_three_branches(in_channels: int, stride: int, se_norm: SeNorm) -> None:
    """With any weights the output is the equation of what the three branches gave for the module's input."""
    module = ContextAwareModule(in_channels, 8, stride=stride, se_norm=se_norm)
    assert module.se is not None
    assert module.res is not None
    features = torch.randn(4, in_channels, 5, 4)
    gate, refined, residual = module.se(features), module.hdc(features), module.res(features)
    assert bool(((gate >= 0) & (gate <= 1)).all())
    torch.testing.assert_close(module(features), torch.relu(gate * refined + residual))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("training", [False, True])
def test_all_off_is_a_step_of_simple_baselines(stride: int, *, training: bool) -> None:
    """With every switch off the module is a (transposed) convolution, batch norm and ReLU."""
    module = ContextAwareModule(6, 8, stride=stride, se=False, hdc=False, residual=False)
    convolution = (
        nn.ConvTranspose2d(6, 8, 4, stride=2, padding=1, bias=False)
        if stride == 2
        else nn.Conv2d(6, 8, 3, padding=1, bias=False)
    )
    step = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU())
    renamed = {
        name.replace("hdc.join_bn", "1").replace("hdc.join", "0"): value for name, value in module.state_dict().items()
    }
    step.load_state_dict(renamed)
    features = torch.randn(3, 6, 5, 4)
    assert torch.equal(module.train(training)(features), step.train(training)(features))


@pytest.mark.parametrize("absent", ["se.", "hdc.dilated", "res."])
def test_a_switch_removes_its_branch(absent: str) -> None:
    """A branch that is off holds no weights, and the others stay."""
    full = {name for name, _ in ContextAwareModule(4, 8).named_parameters()}
    module = ContextAwareModule(4, 8, se=absent != "se.", hdc=absent != "hdc.dilated", residual=absent != "res.")
    left = {name for name, _ in module.named_parameters()}
    assert left == {name for name in full if not name.startswith(absent)} != full


def test_a_gate_that_is_off_is_one() -> None:
    """Without the channel context the equation has a gate of 1."""
    module = ContextAwareModule(6, 8, se=False)
    assert module.res is not None
    features = torch.randn(2, 6, 3, 3)
    torch.testing.assert_close(module(features), torch.relu(module.hdc(features) + module.res(features)))


def test_one_crop_trains_only_without_batch_norm_in_the_gate() -> None:
    """Batch statistics over 1x1 maps need two crops: the reason for our ``se_norm="none"``."""
    features = torch.randn(1, 6, 4, 4)
    ContextAwareModule(6, 8, se_norm="none")(features).sum().backward()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ContextAwareModule(6, 8, se_norm="batch")(features)


def test_no_crops_are_an_answer() -> None:
    """An empty batch gives an empty output of the right shape."""
    assert ContextAwareModule(6, 8).eval()(torch.zeros(0, 6, 4, 5)).shape == (0, 8, 8, 10)


def test_impossible_modules_are_refused() -> None:
    """A stride, a width and a norm that mean nothing are named."""
    with pytest.raises(ValueError, match="stride: expected 1 or 2, found 4"):
        ContextAwareModule(4, 8, stride=4)
    for width in (0, 6, -4):
        with pytest.raises(ValueError, match=f"channels: expected a positive multiple of 4, found {width}"):
            ContextAwareModule(4, width)
    with pytest.raises(ValueError, match="se_norm: expected 'batch' or 'none', found 'layer'"):
        ContextAwareModule(4, 8, se_norm="layer")  # type: ignore[arg-type] # what is tested
