"""Zero-shot CLIP: which of the plan's own concepts is a picture nearest to? (docs/methods.md §5.1)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tracelang.evidence.judges import Answer, Asked, Class, Kind
from tracelang.evidence.judges.kit import Extractor, arrays, digest, local, match, plain, processor, style, weights
from tracelang.evidence.schema import JudgeCard

PROMPTS: dict[Kind, str] = {
    "object": "a photo of the {}",
    "style": "an image in the style of {}",
    "identity": "a photo of {}",
    "explicit": "a photo of {}",
}
"""One head for each kind: concepts of two kinds may well be in one picture. That of objects is the field's own."""
BATCH = 50
SOURCE = (
    "zero-shot, top-1 of the recipe's own concepts of that kind, logits × 100: a picture of none of them is given one "
    "all the same; nobody measured this checkpoint on them"
)


class Clip:
    """The judge `clip=FOLDER`, any local CLIP checkpoint in the transformers layout.

    Its classes are the plan's concepts, told by `prepare`. A kind with fewer than two has no head: nothing can be
    told apart there, and `find` answers None.
    """

    def __init__(self, folder: str | None = None) -> None:
        """Raises ValueError without a folder, or where it holds no complete CLIP."""
        if folder is None:
            raise ValueError("the judge clip needs a checkpoint: clip=FOLDER (transformers layout, safetensors)")
        root = Path(folder)
        if not root.is_dir():
            raise ValueError(f"the judge clip: {root} is no folder; give the checkpoint's own: clip=FOLDER")
        try:
            from transformers import AutoImageProcessor, CLIPModel, CLIPTokenizer
        except ImportError as error:
            raise LookupError(f"the judge clip needs {error.name}; pip install 'tracelang[run]'") from None
        self._model = local(CLIPModel, root)
        self._tokenizer = processor(CLIPTokenizer, root)
        self._images = processor(AutoImageProcessor, root)
        self._heads: dict[Kind, tuple[tuple[str, ...], Tensor]] = {}
        self._aliases: dict[Kind, dict[str, tuple[str, ...]]] = {}
        self.card = JudgeCard(name="clip", digest=digest(weights(root)), classes=(), source=SOURCE)

    def prepare(self, concepts: Sequence[Asked]) -> None:
        """Take the concepts' first words as classes, the others as their aliases; of one kind, one head."""
        groups: dict[Kind, dict[str, tuple[str, ...]]] = {}
        for one in concepts:
            if one.kind in PROMPTS:
                groups.setdefault(one.kind, {}).setdefault(one.names[0], tuple(one.names[1:]))
        self._aliases = {kind: labels for kind, labels in groups.items() if len(labels) > 1}
        self._heads = {
            kind: (tuple(labels), self._text([PROMPTS[kind].format(label) for label in labels]))
            for kind, labels in self._aliases.items()
        }
        classes = tuple(f"{kind}: {label}" for kind, (labels, _) in self._heads.items() for label in labels)
        self.card = self.card.model_copy(update={"classes": classes})

    def find(self, words: Sequence[str], kind: Kind) -> Class | None:
        known = self._aliases.get(kind)
        if known is None:
            return None
        if kind != "style":
            label = match([plain(word) for word in words], known)
        else:
            names = {style(name): name for name in known}
            found = match(
                [style(word) for word in words],
                {short: [style(alias) for alias in known[name]] for short, name in names.items()},
            )
            label = None if found is None else names[found]
        return None if label is None else Class(kind, label)

    def subject(self, answer: Answer) -> bool | None:
        """None: one of its classes is always the nearest."""
        return None

    def look(self, images: Tensor) -> Sequence[Answer]:
        if not self._heads:
            raise ValueError("the judge clip has no classes: no two concepts of one kind were told to it")
        e = self._pictures(images)
        labels: list[dict[str, str]] = [{} for _ in e]
        scores: list[dict[str, dict[str, float]]] = [{} for _ in e]
        for kind, (names, text) in self._heads.items():
            for i, chance in enumerate((100 * e @ text.T).softmax(1).tolist()):
                scores[i][kind] = dict(zip(names, chance, strict=True))
                labels[i][kind] = max(scores[i][kind], key=scores[i][kind].__getitem__)
        return [Answer(label, score) for label, score in zip(labels, scores, strict=True)]

    def scores(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """100 times the cosine between each picture and its prompt, `[n]`."""
        known = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
        text = self._text(list(known))[[known[prompt] for prompt in prompts]]
        return 100 * (self._pictures(images) * text).sum(1)

    def nearest(self, images: Tensor, texts: Sequence[str]) -> Sequence[int]:
        """Which of the texts each picture has the largest cosine with."""
        found: list[int] = (self._pictures(images) @ self._text(list(texts)).T).argmax(1).tolist()
        return found

    def extractor(self) -> Extractor:
        """Its picture embeddings, for distances between sets of pictures."""
        width = self._model.config.projection_dim
        return Extractor(_Embedding(self._pictures), width, "CLIP image embeddings", self.card.digest)

    @torch.no_grad()
    def _text(self, prompts: Sequence[str]) -> Tensor:
        length = self._model.config.text_config.max_position_embeddings
        told = self._tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        return _unit(self._model.get_text_features(**told))

    @torch.no_grad()
    def _pictures(self, images: Tensor) -> Tensor:
        parts = []
        for part in torch.split(images, BATCH):
            pixels = self._images(arrays(part), input_data_format="channels_last", return_tensors="pt")
            parts.append(_unit(self._model.get_image_features(**pixels)))
        return torch.cat(parts) if parts else torch.zeros(0, self._model.config.projection_dim)


class _Embedding(torch.nn.Module):
    def __init__(self, embed: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._embed = embed

    def forward(self, images: Tensor) -> Tensor:
        return self._embed(images)


def _unit(found: Any) -> Tensor:
    """Embeddings of length 1. Raises ValueError where they are not finite: a broken judge must not answer."""
    e: Tensor = found if isinstance(found, Tensor) else found.pooler_output  # transformers 5 wraps them
    if not torch.isfinite(e).all():
        raise ValueError("the judge clip gave NaN or infinity")
    return normalize(e, dim=-1)
