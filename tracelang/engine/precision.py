"""Where a float32 model works in bfloat16: a student in training, unless told otherwise, an attack's search, and the
pictures of a verification.
"""

from __future__ import annotations

import torch

from tracelang.models.protocol import TextSide

NATIVE = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
"""What PyTorch knows of a processor's bfloat16 products. Private, and not in every version: absent means no."""


def multiplies_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself. One that emulates it takes longer than with float32."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return any(check() for check in (getattr(torch.cpu, name, None) for name in NATIVE) if check is not None)


def bfloat16_pays(model: TextSide) -> bool:
    """Whether autocast to bfloat16 makes a model faster: a float32 one on a CPU that multiplies bfloat16 itself.

    It repeats bit for bit there. Only models far smaller than the embedded one lose by it, their casts costing more
    than their products.
    """
    return model.device.type == "cpu" and model.dtype == torch.float32 and multiplies_bfloat16()
