"""The judge of the embedded world: a small CNN that names things, style and ground of a 64 px picture.

It tells every thing that is there and how many. The first edition's named one thing; one code reads both: the width of
a file's last layer says which it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from tracelang.evidence.judges import Answer, Class, Kind
from tracelang.evidence.judges.kit import Extractor, match, plain, style
from tracelang.evidence.schema import Accuracy, JudgeCard
from tracelang.evidence.verdicts import rate

from .world.captions import with_article
from .world.concepts import BACKGROUNDS, IMPLICIT, STYLES, THINGS

NOTHING = "nothing"
"""The class of pictures that show no thing of the world: plain grounds, noise, smears, mixtures."""
CLASSES = (*(thing.name for thing in THINGS), NOTHING)
STYLE_NAMES = tuple(style.name for style in STYLES)
GROUND_NAMES = tuple(BACKGROUNDS)
THING_NAMES = CLASSES[:-1]
ON = (
    "tracelang_micro/judge/known.json: the world's own pictures, none of them training's, through the model's "
    "autoencoder; pictures that a model draws may differ more"
)
MOST = 2  # things in one picture
FIRST = {"concept": len(CLASSES), "style": len(STYLE_NAMES), "background": len(GROUND_NAMES)}
"""The first edition's heads and how many logits each has: one choice among things and nothing."""
SECOND = {"things": len(THING_NAMES), "count": MOST + 1, "style": len(STYLE_NAMES), "background": len(GROUND_NAMES)}
"""The second edition's: each thing there or not; how many."""
LABELS = {"concept": CLASSES, "style": STYLE_NAMES, "background": GROUND_NAMES}
FILE = Path(__file__).parent / "judge" / "judge.safetensors"
KNOWN = Path(__file__).parent / "judge" / "known.json"
"""How often it is right, class by class, as `python -m tracelang_micro.world.known` measured it."""
THING_WORDS = {
    thing.name: (*thing.synonyms, *(phrase for phrase, things in IMPLICIT.items() if things == (thing.name,)))
    for thing in THINGS
}
STYLE_WORDS = {found.name: (f"{found.name} emoji", found.author.casefold()) for found in STYLES}


class Judge(nn.Module):
    """`[n, 3, 64, 64]` in −1…1 → the logits of all heads, `[n, …]`. About 0.5 M parameters."""

    def __init__(self, heads: Mapping[str, int] = SECOND) -> None:
        super().__init__()
        self.of = dict(heads)

        def block(narrow: int, wide: int, stride: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(narrow, wide, 3, stride, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU())

        self.trunk = nn.Sequential(
            block(3, 24, 2),
            block(24, 48, 2),
            block(48, 48, 1),
            block(48, 96, 2),
            block(96, 96, 1),
            block(96, 128, 2),
            block(128, 128, 1),
        )
        self.heads = nn.Linear(2 * 128, sum(heads.values()))

    def forward(self, x: Tensor) -> Tensor:
        features = self.trunk(x)
        out: Tensor = self.heads(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1))
        return out

    def split(self, x: Tensor) -> dict[str, Tensor]:
        """The logits by head."""
        return dict(zip(self.of, self(x).split([*self.of.values()], 1), strict=True))


def load(file: Path = FILE) -> Judge:
    """The trained network, of either edition, in evaluation mode, float32 on the CPU."""
    from safetensors.torch import load_file

    weights = load_file(file)
    judge = Judge(next(heads for heads in (FIRST, SECOND) if sum(heads.values()) == len(weights["heads.bias"])))
    judge.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    )
    return judge.eval()


def save(judge: Judge, file: Path = FILE) -> None:
    """Write the network's weights, in fp16."""
    from safetensors.torch import save_file

    file.parent.mkdir(exist_ok=True)
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in judge.state_dict().items()}, file
    )
    file.chmod(0o644)  # safetensors writes 0600


def chances(judge: Judge, images: Tensor) -> dict[str, Tensor]:
    """The probabilities of images in 0…1 for `concept` (one choice among CLASSES), `style` and `background`.

    Raises ValueError on pixels that are not finite.
    """
    if not torch.isfinite(images).all():
        raise ValueError("the pictures hold values that are not finite")
    logits = judge.split(images * 2 - 1)
    style, background = (logits[head].softmax(1) for head in ("style", "background"))
    if "concept" in logits:
        return {"concept": logits["concept"].softmax(1), "style": style, "background": background}
    none, there = logits["count"].softmax(1)[:, :1], logits["things"].sigmoid()
    concept = torch.cat([(1 - none) * there / there.sum(1, keepdim=True), none], 1)
    return {"concept": concept, "style": style, "background": background}


@torch.no_grad()
def look(judge: Judge, images: Tensor, batch: int = 200) -> list[Answer]:
    """`concept`, `style` and `background` of images `[n, 3, 64, 64]` in 0…1, with the probabilities of each head.

    Of several things the plainest is named. Raises ValueError on pixels that are not finite.
    """
    answers = []
    for part in images.split(batch):
        found = chances(judge, part)
        for row in zip(*(found[head].tolist() for head in LABELS), strict=True):
            scores = {
                head: dict(zip(labels, chance, strict=True))
                for (head, labels), chance in zip(LABELS.items(), row, strict=True)
            }
            answers.append(Answer({head: max(found, key=found.__getitem__) for head, found in scores.items()}, scores))
    return answers


@dataclass(frozen=True, slots=True)
class Found:
    """Every thing that a picture shows, and how many there are: of a thing twice, one name and 2. `chances`: that each
    thing is there.
    """

    things: frozenset[str]
    count: int
    chances: Mapping[str, float] = field(default_factory=dict, compare=False)


@torch.no_grad()
def find(judge: Judge, images: Tensor, batch: int = 200) -> list[Found]:
    """What each of the images `[n, 3, 64, 64]` in 0…1 shows. Raises ValueError for a judge that names one thing."""
    if "things" not in judge.of:
        raise ValueError(
            "the first edition's judge names one thing; pairs need the second's: "
            "python -m tracelang_micro.world --until judge"
        )
    found = []
    for part in images.split(batch):
        logits = judge.split(part * 2 - 1)
        rows = zip(logits["things"].sigmoid().tolist(), logits["count"].argmax(1).tolist(), strict=True)
        for there, count in rows:
            known = dict(zip(THING_NAMES, there, strict=True))
            found.append(Found(frozenset(name for name, chance in known.items() if chance > 0.5), count, known))
    return found


def everything(plainest: Answer, found: Found) -> Answer:
    """The answer that names all things there are: the plainest and whatever else is found, or nothing."""
    label = plainest.labels["concept"]
    assert isinstance(label, str)
    things = () if label == NOTHING else sorted({label, *found.things})
    chances = {**found.chances, NOTHING: plainest.scores["concept"][NOTHING]}
    return Answer({**plainest.labels, "concept": tuple(things)}, {**plainest.scores, "concept": chances})


def known() -> tuple[Accuracy, ...]:
    """How often it is right about each of its classes."""
    return tuple(
        Accuracy(
            label=one["label"], sensitivity=rate(*one["sensitivity"]), specificity=rate(*one["specificity"]), on=ON
        )
        for one in json.loads(KNOWN.read_text())
    )


class Micro:
    """The judge as `tracelang.evidence` asks for it (entry point `micro` of `tracelang.judges`)."""

    def __init__(self) -> None:
        self._network = load()
        self.card = JudgeCard(
            name="micro",
            digest=hashlib.sha256(FILE.read_bytes()).hexdigest(),
            classes=(
                *CLASSES,
                *(f"style: {name}" for name in STYLE_NAMES),
                *(f"background: {name}" for name in GROUND_NAMES),
            ),
            accuracy=known(),
            source=ON,
        )

    def find(self, words: Sequence[str], kind: Kind) -> Class | None:
        """A thing by its name, a synonym or a phrase that stands for it alone; a style by what people call it."""
        if kind == "style":
            label = match([style(word) for word in words], STYLE_WORDS)
            return None if label is None else Class("style", label)
        label = match([plain(word) for word in words], THING_WORDS)
        return None if label is None else Class("concept", label)

    def subject(self, answer: Answer) -> bool:
        return answer.labels["concept"] not in (NOTHING, ())

    def several(self) -> tuple[str, ...]:
        """The second edition's network names every thing there is."""
        return ("concept",) if "things" in self._network.of else ()

    def look(self, images: Tensor) -> Sequence[Answer]:
        plainest = look(self._network, images)
        if not self.several():
            return plainest
        return [everything(one, found) for one, found in zip(plainest, find(self._network, images), strict=True)]

    def world(self) -> Sequence[tuple[str, Class]]:
        """Everything, by its name alone."""
        return [(with_article(thing, thing.name), Class("concept", thing.name)) for thing in THINGS]

    def extractor(self) -> Extractor:
        """Its features, for distances between sets of pictures."""
        return Extractor(_Features(self._network.trunk), 2 * 128, "micro judge features", self.card.digest)


class _Features(nn.Module):
    """What the judge's heads read."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        features = self.trunk(images * 2 - 1)
        return torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
