"""The twins of the embedded models: such as never knew what others are to forget, and further bases of other seeds.

Autoencoder, tokenizers and judge are those of `tracelang-micro`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tracelang_micro.twins import complete

MODELS = Path(__file__).parent / "models"

micro_sd_never_1 = partial(complete, MODELS / "micro-sd-never-1")
micro_sd_never_2 = partial(complete, MODELS / "micro-sd-never-2")
micro_sd_never_3 = partial(complete, MODELS / "micro-sd-never-3")
micro_sd_seed_2 = partial(complete, MODELS / "micro-sd-seed-2")
micro_sd_seed_3 = partial(complete, MODELS / "micro-sd-seed-3")
