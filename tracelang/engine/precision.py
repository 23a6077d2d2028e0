"""Where gradients are taken in bfloat16: a student in training, unless told otherwise, and an attack's search."""

from __future__ import annotations

import torch

from tracelang.engine.protocol import Model

NATIVE = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
"""What PyTorch knows of a processor's bfloat16 products. Private, and not in every version: absent means no."""


def bfloat16_pays(model: Model) -> bool:
    """Whether autocast to bfloat16 makes training faster: a float32 model on a CPU that multiplies bfloat16 itself.

    It repeats bit for bit there. Only models far smaller than the embedded one lose by it, their casts costing more
    than their products; a CPU that emulates bfloat16 always does.
    """
    if model.device.type != "cpu" or model.dtype != torch.float32 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return any(check() for check in (getattr(torch.cpu, name, None) for name in NATIVE) if check is not None)
