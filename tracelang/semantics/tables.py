"""The closed tables of the language: kinds, passes, terms, settings, layers and metrics, as plain data.

The engine implements what stands here; nothing here needs it. A default of None is written `none` (or `model`).
"""

from __future__ import annotations

from typing import Literal

from tracelang.records import dataclass, field

LANGUAGE_VERSION = 1

KINDS = {
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
FAMILIES = {
    "sd1": "Stable Diffusion 1.x",
    "sd2": "Stable Diffusion 2.x",
    "sdxl": "Stable Diffusion XL",
    "flux": "FLUX.1",
}

READS = {
    "prompt": "every matrix whose input is prompt states alone",
    "text": "the text stream's projections",
}
ROLES = ("key", "value", "query", "out", "text_in", "pooled", "feedforward")
PLACES = ("down", "mid", "up", "double", "single")
UNITS = ("sigma", "logsnr", "t")


@dataclass(frozen=True, slots=True)
class Field:
    """A setting: its type, default, bounds (an open end where `above` or `below` says so) and word for None."""

    type: Literal["integer", "number", "window", "sites", "choice"]
    default: str | int | float | None
    low: float | None = None
    high: float | None = None
    above: bool = False
    absent: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PassKind:
    settings: dict[str, Field]
    terms: dict[str, dict[str, Field]] = field(default_factory=dict)


MAX_SEED = 2**63 - 1
TOKENS = ("phrase", "last", "tail", "context", "all")
LOSSES = ("prediction", "velocity")

DURING = Field("window", "whole")
WEIGHT = Field("number", 1.0, low=0)
RIDGE = Field("number", 0.01, low=0, above=True)
SEED = Field("integer", 0, low=0, high=MAX_SEED)

TERMS: dict[str, dict[str, Field]] = {
    "push": {"during": DURING, "weight": WEIGHT, "strength": Field("number", 1.0, low=0)},
    "hold": {"during": DURING, "weight": WEIGHT},
    "blank": {"during": DURING, "weight": WEIGHT},
    "keep": {"during": DURING, "weight": WEIGHT},
    "suppress": {"during": DURING, "weight": WEIGHT},
    "contrast": {"during": DURING, "weight": WEIGHT},
}

PASSES: dict[str, PassKind] = {
    "refine": PassKind(
        {
            "on": Field("sites", "prompt"),
            "tokens": Field("choice", "tail", choices=TOKENS),
            "ridge": RIDGE,
            "ridge_absolute": Field("number", None, low=0, above=True, absent="none"),
            "erase_weight": Field("number", 1.0, low=0, above=True),
        },
    ),
    "steer": PassKind(
        {
            "on": Field("sites", "text"),
            "rank": Field("integer", 8, low=1, high=512),
            "steps": Field("integer", 400, low=1, high=1_000_000),
            "rate": Field("number", 1e-3, low=0, high=1, above=True),
            "loss": Field("choice", "prediction", choices=LOSSES),
            "batch": Field("integer", 16, low=1, high=65_536),
            "trajectories": Field("integer", 80, low=1, high=1_000_000),
            "sampler_steps": Field("integer", 20, low=2, high=1000),
            "guidance": Field("number", None, low=0, absent="model"),
            "refresh": Field("integer", 0, low=0, high=1_000_000),
            "gate": Field("window", None, absent="none"),
            "seed": SEED,
        },
        terms=TERMS,
    ),
    "fuse": PassKind({"ridge": RIDGE, "keep_weight": WEIGHT}),
    "project": PassKind(
        {
            "on": Field("sites", "prompt"),
            "tokens": Field("choice", "tail", choices=TOKENS),
            "threshold": Field("number", 0.1, low=0, above=True),
            "ridge_absolute": Field("number", 1.0, low=0, above=True),
        },
    ),
    "harden": PassKind(
        {
            "on": Field("sites", "prompt"),
            "rounds": Field("integer", 3, low=1, high=1000),
            "penalty": Field("number", 0.1, low=0, above=True),
            "ridge_absolute": Field("number", 0.1, low=0, above=True),
            "keep_weight": WEIGHT,
        },
    ),
    "mask": PassKind(
        {
            "on": Field("sites", "text"),
            "share": Field("number", 0.5, low=0, high=1, above=True),
            "seeds": Field("integer", 5, low=1, high=1000),
            "steps": Field("integer", 10, low=1, high=1_000_000),
        },
    ),
}

CLOSED_FORMS = frozenset({"refine", "fuse", "project"})
"""Passes that sample nothing themselves: text states and weights decide them. The others train, search or rank by
gradients on what they sample.
"""

NOT_YET = {
    "project": "projecting an edit onto the null space of what is preserved",
    "harden": "rounds that search what still brings the concept back, and erase that too",
    "mask": "training only the weights that a saliency mask leaves",
    "suppress": "suppressing the attention that a concept's tokens get",
    "contrast": "contrasting a concept's attention with synonyms and unrelated concepts",
}
"""Passes and terms that a recipe may name and no engine carries out so far: what each one does.

Such a recipe compiles. It is refused where it meets a model.
"""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric may be asserted of, in which direction (None: either), and where its figure comes from.

    A share lies in 0..1 and a ratio is at least 0, both may be written in percent; a score is any number. `demand` is
    what it asks, as a sentence. Of pictures, `rows` are those it looks at: of the concept's names or probes, or of all
    that is kept; `counted`: it is a share of single pictures, those of all its concepts together; `judged`: it needs a
    judge that knows the concept.
    """

    comparison: Literal["<=", ">="] | None
    source: Literal["pictures", "trajectories", "weights"]
    subject: Literal["erased", "spared", "any"]
    scale: Literal["share", "ratio", "score"]
    demand: str
    rows: tuple[Literal["names", "probes", "kept"], ...] = ("names",)
    counted: bool = False
    judged: bool = True

    @property
    def images(self) -> bool:
        """Does it draw any?"""
        return self.source == "pictures"


METRICS: dict[str, Metric] = {
    "shown": Metric(
        "<=",
        "pictures",
        "erased",
        "share",
        "{limit} {bound} of the pictures of its names still show it.",
        counted=True,
    ),
    "probed": Metric(
        "<=",
        "pictures",
        "erased",
        "share",
        "{limit} {bound} of the pictures of its probes, which suggest it without naming it, show it.",
        rows=("probes",),
        counted=True,
    ),
    "attack": Metric(
        "<=",
        "pictures",
        "erased",
        "share",
        "{limit} {bound} of the pictures under the attack {attack} show it.",
        counted=True,
    ),
    "kept": Metric(
        ">=",
        "pictures",
        "spared",
        "share",
        "{limit} {bound} of the pictures that were right before the edit are right after it.",
        counted=True,
    ),
    "accuracy": Metric(
        ">=",
        "pictures",
        "any",
        "share",
        "{limit} {bound} of the pictures of its names show it.",
        counted=True,
    ),
    "subject": Metric(
        ">=",
        "pictures",
        "any",
        "share",
        "{limit} {bound} of the pictures of its names show some recognisable thing.",
        counted=True,
        judged=False,
    ),
    "harmonic": Metric(
        ">=",
        "pictures",
        "any",
        "share",
        "The harmonic mean of what is erased and what is kept is {limit} {bound}.",
        rows=("names", "probes", "kept"),
    ),
    "clip": Metric(
        None,
        "pictures",
        "any",
        "score",
        "The CLIP score, how well pictures fit their prompts, is {limit} {bound}.",
        judged=False,
    ),
    "fid": Metric(
        None,
        "pictures",
        "any",
        "score",
        "The FID, the distance between the pictures before and after, is {limit} {bound}.",
        judged=False,
    ),
    "drift": Metric(
        "<=",
        "trajectories",
        "spared",
        "ratio",
        "The prediction moves by {limit} {bound} along the unedited model’s path.",
    ),
    "residual": Metric(
        "<=", "weights", "erased", "ratio", "What is left of it in the edited weights is {limit} {bound}."
    ),
    "leak": Metric(
        "<=", "weights", "spared", "ratio", "What was to be kept moves by {limit} {bound} in the edited weights."
    ),
}
ATTACKS = ("paraphrase", "ring_a_bell", "p4d", "unlearn_diff_atk", "textual_inversion", "inverse_map")

DEFAULT_METHOD = "trace"
DEFAULT_SAMPLES = 100
DEFAULT_SEED = 0

MAX_REFERENCES = 64
MAX_IMPORTS = 32
MAX_SITES = 10_000
MAX_SITES_DEPTH = 32
MAX_MEMBERS = 100_000
