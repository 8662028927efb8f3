"""Where, in what precision and with how many threads a model runs."""

import importlib
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.predictor import PosePredictor, Thresholds
from pcrpose.inference.runtime import Runtime, find_device, limited_threads
from pcrpose.inference.stream import CropBatch
from pcrpose.keypoints.arrays import Image
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_model import HeatmapOutput

BOXES = [[20.0, 15.0, 90.0, 140.0], [100.5, 30.25, 190.0, 120.0]]


class Recorder:
    """A model that is no module and notes what its crops are."""

    def __init__(self, model: PCR) -> None:
        self.config = model.config
        self.seen: list[tuple[torch.dtype, str, int]] = []

    def __call__(self, crops: Tensor, /) -> HeatmapOutput:
        """Return empty maps."""
        self.seen.append((crops.dtype, crops.device.type, torch.get_num_threads()))
        return HeatmapOutput(torch.zeros(len(crops), 17, 24, 16, dtype=crops.dtype))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected at least 1, found 0"),
        ({"batch_size": 1.5}, "batch_size: expected a whole number, found 1.5"),
        ({"threads": 0}, "threads: expected at least 1, found 0"),
        ({"threads": True}, "threads: expected a whole number, found True"),
        ({"dtype": torch.int8}, r"dtype: expected a floating-point type such as torch\.float16, found torch\.int8"),
        ({"dtype": "int8"}, "dtype: expected a floating-point type such as torch.float16, found 'int8'"),
        ({"dtype": "nothing"}, "dtype: expected a floating-point type such as torch.float16, found 'nothing'"),
        ({"fuse": 1}, "fuse: expected True or False, found 1"),
        ({"compile": "max"}, "compile: expected True or False, found 'max'"),
        ({"device": "tpu"}, "device: expected auto, cpu, cuda, cuda:0 or mps, found 'tpu'"),
        ({"device": "cpu:1"}, "device: 'cpu:1' is not here; torch finds cpu"),
    ],
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    """Each is refused by name, when it is set."""
    with pytest.raises(ValueError, match=message):
        Runtime(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keypoint": -0.1}, "keypoint: expected at least 0, found -0.1"),
        ({"nms": 1.1}, "nms: expected a number from 0 to 1, found 1.1"),
        ({"nms": float("nan")}, "nms: expected a number from 0 to 1, found nan"),
    ],
)
def test_thresholds_out_of_range(options: dict[str, Any], message: str) -> None:
    """Each is refused by name; those at the border are not."""
    Thresholds(keypoint=0, nms=1)
    with pytest.raises(ValueError, match=message):
        Thresholds(**options)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16", "float64"])
def test_types_by_name(name: str) -> None:
    """A name is the type: both settings are equal and one value in a set."""
    named, typed = Runtime(dtype=name), Runtime(dtype=getattr(torch, name))

    assert named.torch_dtype == named.dtype == getattr(torch, name)
    assert len({named, typed}) == 1


def test_values_are_frozen() -> None:
    """They may be shared by predictors."""
    with pytest.raises(FrozenInstanceError):
        Runtime().batch_size = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Thresholds().nms = 0.5  # type: ignore[misc]


@pytest.mark.parametrize("runtime", [Runtime(), Runtime(device="cpu"), Runtime(device="cpu", dtype=torch.float64)])
def test_a_model_that_is_there_is_not_copied(model: PCR, runtime: Runtime) -> None:
    """Asking for what is the case changes nothing."""
    assert PosePredictor(model, runtime=runtime).model is model


@pytest.mark.parametrize("several", [False, True])
def test_another_precision_leaves_the_callers_model_alone(model: PCR, photo: Image, several: bool) -> None:  # noqa: FBT001
    """A copy is converted, of an ensemble too; the poses are those of the model that its owner converts."""
    given = Ensemble([model]) if several else model
    expected = PosePredictor(model).predict(photo, BOXES)

    predictor = PosePredictor(given, runtime=Runtime(dtype=torch.float32))
    found = predictor.predict(photo, BOXES)

    assert predictor.model is not given
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.05)
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, rtol=1e-3)
    np.testing.assert_array_equal(found.keypoints, PosePredictor(model.float()).predict(photo, BOXES).keypoints)


def test_half_precision(model: PCR, photo: Image) -> None:
    """Heatmaps of eight bits are decoded in float32: scores are near, coordinates within the crop."""
    expected = PosePredictor(model).predict(photo, BOXES)

    predictor = PosePredictor(model, runtime=Runtime(dtype=torch.bfloat16))

    batch = CropBatch(pixels=(np.zeros((1, 96, 64, 3), dtype=np.uint8),), matrices=(np.eye(2, 3)[None],))

    assert predictor._crop_model(batch).merged.dtype == torch.float32
    found = predictor.predict(photo, BOXES)
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, rtol=0.1, atol=0.05)


def test_folded_norms(model: PCR, photo: Image) -> None:
    """The poses are the same; the caller's model keeps its norms, and may go on changing."""
    expected = PosePredictor(model).predict(photo, BOXES)

    predictor = PosePredictor(model, runtime=Runtime(fuse=True))
    found = predictor.predict(photo, BOXES)

    assert isinstance(predictor.model, PCR)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in predictor.model.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-5)
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of torch's compiler, about itself
@pytest.mark.parametrize("several", [False, True])
def test_compiled(model: PCR, photo: Image, several: bool) -> None:  # noqa: FBT001 - a case
    """Torch's compiler gives the same poses, for other numbers of crops too; an ensemble's members are compiled."""
    given = Ensemble([model]) if several else model
    expected = PosePredictor(given).predict(photo, BOXES)

    predictor = PosePredictor(given, runtime=Runtime(fuse=True, compile=True))

    assert type(predictor.model) is type(given)
    for count in (2, 1):
        found = predictor.predict(photo, BOXES[:count])
        np.testing.assert_allclose(found.keypoints, expected.keypoints[:count], atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of torch's compiler, about itself
def test_no_compiler(model: PCR, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a C++ compiler one line says so, when the predictor is made."""
    inductor = importlib.import_module("torch._inductor.config")
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(inductor, "force_disable_caches", True)

    with pytest.raises(ValueError, match=r"compile: torch cannot compile the model here: .*") as raised:
        PosePredictor(model, runtime=Runtime(compile=True))

    assert "\n" not in str(raised.value)
    assert "compiler" in str(raised.value).lower()


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_what_is_no_module_gets_crops_as_asked(model: PCR, photo: Image, dtype: torch.dtype | None) -> None:
    """Its crops are in the precision asked for, float32 by default, and it is used as it is."""
    recorder = Recorder(model)
    predictor = PosePredictor(recorder, flip=False, runtime=Runtime(dtype=dtype))

    predictor.predict(photo, BOXES)

    assert predictor.model is recorder
    assert [(seen[0], seen[1]) for seen in recorder.seen] == [(dtype or torch.float32, "cpu")]


def test_threads_are_limited_while_the_model_runs(model: PCR, photo: Image) -> None:
    """Between two results, and after an error, torch's own setting holds."""
    before = torch.get_num_threads()
    recorder = Recorder(model)
    stream = PosePredictor(recorder, flip=False, runtime=Runtime(threads=before + 1, batch_size=1)).stream(
        [photo, photo], [BOXES[:1]] * 2
    )

    next(stream)

    assert recorder.seen[0][2] == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), limited_threads(before + 1):
        _ = 1 / 0
    assert torch.get_num_threads() == before


def test_models_are_put_into_evaluation_mode(model: PCR) -> None:
    """It is all that happens to the caller's model."""
    weights = {name: value.clone() for name, value in model.state_dict().items()}

    PosePredictor(model.train())

    assert not any(module.training for module in model.modules())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_devices(available: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a case
    """A name becomes a device, "auto" a GPU where there is one; one that is not there is refused."""
    assert find_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert find_device("auto") == torch.device(expected)
    with pytest.raises(ValueError, match="'cpu:3' is not here; torch finds cpu"):
        find_device("cpu:3")


@pytest.mark.gpu
def test_a_device_is_moved_to(model: PCR, photo: Image) -> None:
    """The poses are those of the processor, and the caller's model stays there."""
    expected = PosePredictor(model).predict(photo, BOXES)

    predictor = PosePredictor(model, runtime=Runtime(device="cuda"))

    np.testing.assert_allclose(predictor.predict(photo, BOXES).keypoints, expected.keypoints, atol=1e-3)
    assert next(model.parameters()).device.type == "cpu"
