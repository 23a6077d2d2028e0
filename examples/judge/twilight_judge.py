"""The judge `twilight`, or `twilight=LIMIT`: night where a picture's mean brightness is below LIMIT, day elsewhere."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from tracelang.evidence.judges import Answer, Class, Kind
from tracelang.evidence.judges.kit import digest, match, plain
from tracelang.evidence.schema import JudgeCard

ALIASES = {"night": ("darkness", "a night scene"), "day": ("daylight",)}


class Twilight:
    def __init__(self, limit: str = "0.25") -> None:
        self.limit = float(limit)
        self.card = JudgeCard(
            name="twilight", digest=digest([Path(__file__)]), classes=tuple(ALIASES), threshold=self.limit
        )

    def find(self, words: Sequence[str], kind: Kind) -> Class | None:
        label = match([plain(word) for word in words], ALIASES)
        return None if label is None else Class("light", label)

    def subject(self, answer: Answer) -> bool | None:
        return None  # brightness cannot tell whether there is a thing

    def look(self, images: Tensor) -> Sequence[Answer]:
        if not images.isfinite().all():
            raise ValueError("the judge twilight was given pixels that are not finite")
        return [Answer({"light": "night" if mean < self.limit else "day"}) for mean in images.mean((1, 2, 3)).tolist()]
