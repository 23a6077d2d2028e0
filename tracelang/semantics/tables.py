"""The closed tables of the language: kinds, header, families, metrics and limits, as plain data.

Passes and terms have no table: each declares itself, see `kinds`.
"""

from __future__ import annotations

from typing import Literal

from tracelang.records import dataclass

LANGUAGE_VERSION: Literal[1] = 1

Kind = Literal["object", "style", "identity", "explicit", "protected"]
KINDS: dict[Kind, str] = {
    "object": "a thing; judged by a classifier",
    "style": "a way of drawing; judged by a style classifier",
    "identity": "a person or character; judged by an identity embedding",
    "explicit": "explicit content; judged by a detector",
    "protected": "content that nobody may generate, not even to test; verified without images",
}

Type = Literal["text", "name", "names"]
HEADER: dict[str, Type] = {
    "version": "text",
    "summary": "text",
    "owner": "text",
    "review_by": "text",
    "supports": "names",
    "threat": "name",
}
THREATS = ("open_weights", "hosted")
"""From the strongest: whoever has the weights can do all that a user of a service can."""
FAMILIES = {
    "sd1": "Stable Diffusion 1.x",
    "sd2": "Stable Diffusion 2.x",
    "sdxl": "Stable Diffusion XL",
    "flux": "FLUX.1",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric may be asserted of, in which direction (None: either), and whether it draws images.

    A share lies in 0..1 and a ratio is at least 0, both may be written in percent; a score is any number.
    """

    comparison: Literal["<=", ">="] | None
    images: bool
    subject: Literal["erased", "spared", "any"]
    scale: Literal["share", "ratio", "score"]


METRICS: dict[str, Metric] = {
    "shown": Metric("<=", True, "erased", "share"),
    "probed": Metric("<=", True, "erased", "share"),
    "attack": Metric("<=", True, "erased", "share"),
    "kept": Metric(">=", True, "spared", "share"),
    "accuracy": Metric(">=", True, "any", "share"),
    "subject": Metric(">=", True, "any", "share"),
    "harmonic": Metric(">=", True, "any", "share"),
    "clip": Metric(None, True, "any", "score"),
    "fid": Metric(None, True, "any", "score"),
    "drift": Metric("<=", False, "spared", "ratio"),
    "residual": Metric("<=", False, "erased", "ratio"),
    "leak": Metric("<=", False, "spared", "ratio"),
}
ATTACKS = ("paraphrase", "ring_a_bell", "p4d", "unlearn_diff_atk", "textual_inversion", "inverse_map")

DEFAULT_METHOD = "trace"
DEFAULT_SAMPLES = 100
DEFAULT_SEED = 0

MAX_SEED = 2**63 - 1
MAX_REFERENCES = 64
MAX_IMPORTS = 32
MAX_SITES = 10_000
MAX_SITES_DEPTH = 32
MAX_MEMBERS = 100_000
