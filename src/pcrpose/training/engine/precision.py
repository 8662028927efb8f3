"""In which numbers the network computes."""

import torch

from pcrpose.training.config import Precision

_TYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Let the operations that gain by it run in half precision; float32 changes nothing."""
    return torch.autocast(device.type, _TYPES[precision], enabled=precision != "float32")


def loss_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """Give what keeps small gradients from vanishing in fp16; elsewhere it does nothing.

    Raises:
        ValueError: for fp16 without CUDA.
    """
    if precision == "fp16" and device.type != "cuda":
        raise ValueError(
            f"precision: fp16 expects a CUDA device, found {device.type}, where it is slow and untried; take bf16"
        )
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")
