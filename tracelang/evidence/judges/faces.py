"""Who is in a picture: the nearest of some people's mean embeddings. The user names the model; none is shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from tracelang.evidence.judges import Answer, Class, Kind
from tracelang.evidence.judges.kit import arrays, checked, digest, local, match, plain, processor, weights
from tracelang.evidence.schema import JudgeCard

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
NOBODY = "nobody"
BATCH = 50
LAYOUT = (
    "faces=FOLDER holds the embedding model, model.onnx or model/ (transformers, safetensors), and in people/NAME/ two "
    "or more pictures of each of two or more people, cropped as the generated ones are framed"
)

Embed = Callable[[Tensor], Tensor]
"""Images `[n, 3, H, W]` in 0..1 → embeddings `[n, d]`."""


class Faces:
    """The judge `faces=FOLDER`. There is no detector in it: a picture is embedded whole.

    A picture shows the person whose mean embedding is nearest, or nobody where that is less like it than the
    threshold: the cosine that best parts, among the people's own pictures and each left out of its mean, right from
    wrong. How often that is right the card says in words: no rate is corrected by what the threshold was set on.
    """

    def __init__(self, folder: str | None = None) -> None:
        """Raises ValueError for a folder that lacks a part, LookupError where the model's library is missing."""
        root = Path(folder) if folder else None
        if root is None or not root.is_dir():
            raise ValueError(f"the judge faces: {folder or 'nothing'} is no folder; {LAYOUT}")
        people = _people(root / "people")
        self._embed, files = _model(root)
        known = {name: self._faces(pictures) for name, pictures in people.items()}
        self._names = tuple(known)
        self._means = torch.stack([normalize(e.mean(0), dim=0) for e in known.values()])
        self._threshold, right, passed = _calibrate(known)
        pictures = sum(map(len, known.values()))
        self.card = JudgeCard(
            name="faces",
            digest=digest(files),
            classes=(*self._names, NOBODY),
            threshold=self._threshold,
            source=f"each of the {pictures} pictures in people/ left out of its own mean: {right:.1%} found, "
            f"{passed:.1%} of the others passed over; the threshold is set on them, so no rate is corrected by it",
        )

    def find(self, words: Sequence[str], kind: Kind) -> Class | None:
        """A person by the name of the folder that holds the pictures; a quoted name without a kind is an object's."""
        label = match([plain(word) for word in words], {name: (name,) for name in self._names})
        return Class("person", label) if kind in ("identity", "object") and label else None

    def subject(self, answer: Answer) -> bool | None:
        """None: without a detector nobody knows whether there is a face at all."""
        return None

    def look(self, images: Tensor) -> Sequence[Answer]:
        answers = []
        for row in (self._faces(images) @ self._means.T).tolist():
            likeness = dict(zip(self._names, row, strict=True))
            best = max(likeness, key=likeness.__getitem__)
            answers.append(Answer({"person": best if likeness[best] >= self._threshold else NOBODY}))
        return answers

    def _faces(self, images: Tensor | list[Tensor]) -> Tensor:
        """Embeddings of length 1; a list holds pictures of several sizes."""
        parts = images if isinstance(images, list) else torch.split(checked(images), BATCH)
        e = torch.cat([self._embed(part) for part in parts]) if parts else torch.zeros(0, 1)
        if e.dim() != 2 or not torch.isfinite(e).all():
            raise ValueError("the judge faces: the model gave no finite vector for each picture")
        return normalize(e, dim=1)


def _calibrate(known: dict[str, Tensor]) -> tuple[float, float, float]:
    """Threshold, sensitivity and specificity from each picture's likeness to its own person's mean and to others'."""
    own, other = [], []
    for name, e in known.items():
        rest = (e.sum(0) - e) / (len(e) - 1)
        own += (e * normalize(rest, dim=1)).sum(1).tolist()
        others = torch.stack([normalize(o.mean(0), dim=0) for key, o in known.items() if key != name])
        other += (e @ others.T).amax(1).tolist()

    def shares(threshold: float) -> tuple[float, float]:
        """A picture counts as its person's only where no other is nearer, as in `look`."""
        right = sum(a >= threshold and a > b for a, b in zip(own, other, strict=True))
        return right / len(own), sum(b < threshold for b in other) / len(other)

    values = sorted({*own, *other})
    between = [(a + b) / 2 for a, b in pairwise(values)] or values
    threshold = max(between, key=lambda value: sum(shares(value)))
    return threshold, *shares(threshold)


def _people(folder: Path) -> dict[str, list[Tensor]]:
    """Each person's pictures, `[1, 3, H, W]` in 0..1."""
    files = {
        place.name: sorted(file for file in place.iterdir() if file.suffix.lower() in PICTURES)
        for place in sorted(folder.iterdir() if folder.is_dir() else ())
        if place.is_dir()
    }
    if len(files) < 2 or any(len(pictures) < 2 for pictures in files.values()):
        raise ValueError(f"{folder}: too few people or pictures; {LAYOUT}")
    return {name: [_picture(file) for file in pictures] for name, pictures in files.items()}


def _picture(file: Path) -> Tensor:
    from tracelang.evidence.labelled import picture  # brings Pillow

    return picture(file)[None]


def _model(root: Path) -> tuple[Embed, list[Path]]:
    file = root / "model.onnx"
    if file.is_file():
        return _onnx(file), [file]
    if (root / "model").is_dir():
        return _transformers(root / "model"), weights(root / "model")
    raise ValueError(f"{root} holds no model; {LAYOUT}")


def _onnx(file: Path) -> Embed:
    """A network of one input `[n, 3, H, W]` in −1..1, RGB, as the ArcFace models have it."""
    try:
        import onnxruntime
    except ImportError:
        raise LookupError("model.onnx needs onnxruntime; pip install onnxruntime") from None
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    if len(entry.shape) != 4 or entry.shape[1] != 3 or not all(isinstance(size, int) for size in entry.shape[2:]):
        raise ValueError(f"{file}: its input is {entry.shape}; an embedding model with [n, 3, H, W] is wanted")
    size: tuple[int, int] = tuple(entry.shape[2:])

    def embed(images: Tensor) -> Tensor:
        scaled = interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
        rows = [session.run(None, {entry.name: (row * 2 - 1).numpy()})[0] for row in torch.split(scaled, 1)]
        return torch.cat([torch.from_numpy(row).flatten(1) for row in rows])

    return embed


def _transformers(folder: Path) -> Embed:
    """Any image model of the library: its pooled output, or the mean of its last states."""
    try:
        from transformers import AutoImageProcessor, AutoModel
    except ImportError as error:
        raise LookupError(f"the judge faces needs {error.name}; pip install 'tracelang[run]'") from None
    model, prepare = local(AutoModel, folder), processor(AutoImageProcessor, folder)

    @torch.no_grad()
    def embed(images: Tensor) -> Tensor:
        found: Any = model(**prepare(arrays(images), input_data_format="channels_last", return_tensors="pt"))
        pooled = getattr(found, "pooler_output", None)
        e: Tensor = found.last_hidden_state.mean(1) if pooled is None else pooled
        return e.flatten(1)

    return embed
