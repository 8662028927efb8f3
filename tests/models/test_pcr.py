"""The paper's network: figure 3, equation 2, the auxiliary task, and its likeness to Simple Baselines."""

import copy
import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pcrpose.keypoints.boxes import Size
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.simple_baseline import SimpleBaseline, SimpleBaselineConfig

THREE_LEVELS = PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), num_decoders=3, se_norm="none")
ONE_LEVEL = dataclasses.replace(THREE_LEVELS, num_decoders=1)
CROPS = (2, 3, 64, 32)


def answer_with(value: float) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    """Make a forward hook that replaces a module's output by a constant."""
    return lambda _module, _inputs, output: torch.full_like(output, value)


def parts(levels: nn.ModuleList) -> list[nn.Sequential]:
    """Return the decoders as the sequences that they are."""
    return [level for level in levels if isinstance(level, nn.Sequential)]


def record(module: nn.Module, into: dict[str, Tensor], name: str) -> None:
    """Keep a module's input and output of the next forward pass."""

    def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        into[f"{name} in"], into[name] = inputs[0], output

    module.register_forward_hook(hook)


def test_equation_2_by_hand() -> None:
    """Decoders giving 1, 10 and 100 everywhere are predicted from as 1, 11 and 111."""
    model = PCR(dataclasses.replace(THREE_LEVELS, auxiliary=False))
    for decoder, value in zip(parts(model.decoders), (1.0, 10.0, 100.0), strict=True):
        decoder[-1].register_forward_hook(answer_with(value))
    for head in model.heads:
        nn.init.constant_(head.get_parameter("weight"), 1 / 8)
    output = model(torch.randn(CROPS))
    levels = [*output.auxiliary, output.final]
    assert [level.unique().tolist() for level in levels] == [[1.0], [11.0], [111.0]]
    final = model.eval()(torch.randn(CROPS)).final
    assert final.unique().tolist() == [111.0]


def test_every_head_reads_the_sum_of_the_levels_so_far() -> None:
    """With any weights the head of level l is given the sum of what decoders 1 to l made of the same features."""
    model = PCR(THREE_LEVELS)
    seen: dict[str, Tensor] = {}
    record(model.encoder, seen, "encoder")
    for level, decoder in enumerate(parts(model.decoders)):
        record(decoder[0], seen, f"first {level}")
        record(decoder[-1], seen, f"last {level}")
        record(model.heads[level], seen, f"head {level}")
    output = model(torch.randn(CROPS))
    total = torch.zeros(())
    for level in range(3):
        assert seen[f"first {level} in"] is seen["encoder"]
        total = total + seen[f"last {level}"]
        torch.testing.assert_close(seen[f"head {level} in"], total)
    assert output.final is seen["head 2"]


def test_the_encoder_runs_once() -> None:
    """However many decoders there are, they share one pass of the encoder."""
    model = PCR(THREE_LEVELS)
    calls: list[int] = []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    model(torch.randn(CROPS))
    assert calls == [1]


def test_auxiliary_heads_follow_the_last_module_but_one() -> None:
    """With K = 3 the auxiliary head reads the second module's output, unsummed, at its own resolution."""
    model = PCR(THREE_LEVELS)
    seen: dict[str, Tensor] = {}
    for level, decoder in enumerate(parts(model.decoders)):
        record(decoder[1], seen, f"second {level}")
        record(model.auxiliary_heads[level], seen, f"auxiliary {level}")
    output = model(torch.randn(CROPS))
    for level in range(3):
        assert seen[f"auxiliary {level} in"] is seen[f"second {level}"]
        assert output.auxiliary[2 * level] is seen[f"auxiliary {level}"]
        assert output.auxiliary[2 * level].shape == (2, 17, 64 // 8, 32 // 8)


def test_with_one_module_the_auxiliary_head_reads_the_encoder() -> None:
    """With K = 1, as with HRNet, the features before the only module are the encoder's."""
    model = PCR(PCRConfig(encoder="hrnet_w32", channels=(8,), se_norm="none"))
    seen: dict[str, Tensor] = {}
    record(model.encoder, seen, "encoder")
    record(model.auxiliary_heads[0], seen, "auxiliary")
    output = model(torch.randn(CROPS))
    assert seen["auxiliary in"] is seen["encoder"]
    assert [heatmaps.shape for heatmaps in (output.final, *output.auxiliary)] == [(2, 17, 16, 8)] * 2


@pytest.mark.parametrize(("levels", "auxiliary"), [(1, True), (1, False), (3, True), (3, False)])
def test_the_order_of_the_supervised_heads(levels: int, *, auxiliary: bool) -> None:
    """Decoder by decoder, in each the auxiliary head first; the last level's prediction is the final one."""
    model = PCR(dataclasses.replace(THREE_LEVELS, num_decoders=levels, auxiliary=auxiliary))
    for level in range(levels):
        model.heads[level].register_forward_hook(answer_with(10.0 + level))
        if auxiliary:
            model.auxiliary_heads[level].register_forward_hook(answer_with(20.0 + level))
    output = model(torch.randn(CROPS))
    marks = [heatmaps.flatten()[0].item() for heatmaps in (*output.auxiliary, output.final)]
    each = [[20.0 + level, 10.0 + level] if auxiliary else [10.0 + level] for level in range(levels)]
    assert marks == [mark for level in each for mark in level]


def test_evaluation_gives_the_final_heatmaps_alone() -> None:
    """In evaluation mode no auxiliary or earlier head runs, and the final heatmaps are the raw last level's."""
    model = PCR(THREE_LEVELS).eval()
    seen: dict[str, Tensor] = {}
    record(model.heads[2], seen, "last")
    for head in (*model.auxiliary_heads, *model.heads[:2]):
        head.register_forward_hook(lambda *_: pytest.fail("a head ran in vain"))
    output = model(torch.randn(CROPS))
    assert output.auxiliary == ()
    assert output.final is seen["last"]


def from_simple_baselines(name: str) -> str:
    """Return where a tensor of Simple Baselines is in a PCR with everything off."""
    match name.split("."):
        case ["deconv_layers", place, leaf]:
            step, part = divmod(int(place), 3)
            return f"decoders.0.{step}.hdc.{'join_bn' if part else 'join'}.{leaf}"
        case ["final_layer", leaf]:
            return f"heads.0.{leaf}"
    return name


@pytest.mark.parametrize("training", [False, True])
def test_everything_off_is_simple_baselines(*, training: bool) -> None:
    """With all switches and the residual off, the state dicts map one to one and the heatmaps are equal."""
    config = dataclasses.replace(ONE_LEVEL, se=False, hdc=False, auxiliary=False, residual=False)
    model = PCR(config)
    rival = SimpleBaseline(SimpleBaselineConfig(encoder="resnet_nano", channels=(8, 8, 8)))
    mapping = {name: from_simple_baselines(name) for name in rival.state_dict()}
    tensors = model.state_dict()
    assert sorted(mapping.values()) == sorted(tensors)
    rival.load_state_dict({theirs: tensors[ours] for theirs, ours in mapping.items()})
    crops = torch.randn(CROPS)
    assert torch.equal(model.train(training)(crops).final, rival.train(training)(crops).final)


@pytest.mark.parametrize("channels", [(8, 8, 8), (16, 8, 12), (8, 8, 8, 16, 4)])
def test_widths_and_depth_follow_the_configuration(channels: tuple[int, ...]) -> None:
    """The first three modules of a decoder double the resolution, any further ones keep it."""
    model = PCR(dataclasses.replace(ONE_LEVEL, channels=channels)).eval()
    seen: dict[str, Tensor] = {}
    (decoder,) = parts(model.decoders)
    for place, module in enumerate(decoder):
        record(module, seen, str(place))
    assert model(torch.randn(1, 3, 64, 32)).final.shape == (1, 17, 16, 8)
    shapes = [tuple(seen[str(place)].shape[1:]) for place in range(len(channels))]
    assert shapes == [(width, 2 ** min(k + 2, 4), 2 ** min(k + 1, 3)) for k, width in enumerate(channels)]


def test_one_crop_trains() -> None:
    """A batch of one goes through training mode forwards and backwards with ``se_norm="none"``."""
    model = PCR(ONE_LEVEL)
    output = model(torch.randn(1, 3, 64, 64))
    (output.final.square().mean() + output.auxiliary[0].square().mean()).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)


def test_no_crops_are_an_answer() -> None:
    """An empty batch gives an empty output."""
    assert PCR(THREE_LEVELS).eval()(torch.zeros(0, 3, 64, 32)).final.shape == (0, 17, 16, 8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_work(dtype: torch.dtype) -> None:
    """Doubles and bfloat16 give heatmaps of their own precision, near the single-precision ones."""
    model = PCR(ONE_LEVEL).eval()
    crops = torch.randn(CROPS)
    expected = model(crops).final
    found = copy.deepcopy(model).to(dtype)(crops.to(dtype)).final
    assert found.dtype is dtype
    tolerance = 1e-5 if dtype is torch.float64 else 0.1
    assert (found.float() - expected).abs().max() < tolerance * expected.abs().max()


def test_the_network_can_be_exported() -> None:
    """`torch.export` gives a program for any number of crops with the model's own output."""
    config = dataclasses.replace(THREE_LEVELS, heatmaps="probability", input_size=Size(width=32, height=64))
    model = PCR(config).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (torch.randn(CROPS),), dynamic_shapes={"crops": {0: batch}})
    for number in (1, 3):
        crops = torch.randn(number, *CROPS[1:])
        torch.testing.assert_close(program.module()(crops).final, model(crops).final)


def test_the_network_compiles_without_breaks() -> None:
    """`torch.compile` takes training and evaluation as one graph each."""
    model = PCR(ONE_LEVEL)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    crops = torch.randn(CROPS)
    for training in (False, True):
        model.train(training)
        torch.testing.assert_close(compiled(crops).final, model(crops).final)
