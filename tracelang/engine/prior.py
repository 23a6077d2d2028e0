"""What `preserve prior` holds: states of a model's own vocabulary, or of given prompts (docs/methods.md §2.8).

Of a prompt every state of its content and its end counts once, the mean of its padding as often as there is some; of an
input with one state a prompt, that state. However many prompts there are, together they weigh what `WORDS` preserved at
the prior's weight would. What lies near an erased name is left out: it would be held against the edit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.options import Options
from tracelang.engine.text_map import CHUNK, TextMap
from tracelang.models import store
from tracelang.models.protocol import TextSide
from tracelang.plan.prompts import Prompt, edit_prompts
from tracelang.plan.types import Plan, Prior
from tracelang.semantics.phrases import Phrases, forms, stems_by
from tracelang.semantics.prior import WORDS, sampled

FORMAT = 1
BATCH = 256
"""Prompts in one file of the cache: what an interruption makes a run compute again."""


@dataclass(frozen=True, slots=True)
class States:
    """The states of `n` prompts in one text input: `rows [m, d]` and how often each counts, `counts [m]`; which prompt
    it is of, `of [m]`; and of each prompt the mean of all states that have read the whole of it, `after [n, d]`.
    """

    rows: Tensor
    counts: Tensor
    of: Tensor
    after: Tensor


@dataclass(frozen=True, slots=True)
class Held:
    """The preserved columns of one text input, as rows `[m, d]` with their weights `[m]`; `figures` of its Gram."""

    rows: Tensor
    weights: Tensor

    def _parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows in float64 and their weights, so many at a time."""
        for rows, weights in zip(torch.split(self.rows, CHUNK), torch.split(self.weights, CHUNK), strict=True):
            yield exact(rows), weights

    def gram(self) -> Tensor:
        """`Σ w p pᵀ`, `[d, d]` in float64."""
        total = torch.zeros(2 * self.rows.shape[1:], dtype=torch.float64)
        for rows, weights in self._parts():
            scaled = rows * weights.sqrt()[:, None]
            total.addmm_(scaled.T, scaled)
        return total

    def figures(self, text_map: TextMap) -> dict[str, float]:
        """What it weighs, as a number of average states, their mean square and their effective rank `(Σσ)²/Σσ²`; and
        how far the map moves them all the same, relative.
        """
        K, total = self.gram(), float(self.weights.sum())
        moved = sum(
            float((((rows @ text_map.right) @ text_map.left.T).square().sum(1) * weights).sum())
            for rows, weights in self._parts()
        )
        trace = float(K.trace())
        return {
            "states": total,
            "trace": trace / total,
            "effective_rank": trace**2 / float(K.square().sum()),
            "leak": (moved / trace) ** 0.5,
        }


def held(plan: Plan, text: TextSide, options: Options) -> tuple[dict[str, Held], list[dict[str, Any]]]:
    """The columns of all of a plan's priors by text input, and of each prior how many prompts it holds and leaves out,
    and the digest of those that it holds. Raises `EngineError` where nothing is left, or a state is not finite.
    """
    parts: dict[str, list[Held]] = {}
    told = []
    for prior in plan.prior:
        prompts = prior.prompts or sampled(text.vocabulary(), prior.sample, prior.seed)
        if not prompts:
            raise EngineError(f'{_called(prior)}: the tokenizer has no whole words; name prompts: `preserve prior "…"`')
        found = states(text, prompts, options)
        stay = _apart(plan, prior, prompts, found, text, options)
        if not stay:
            raise EngineError(f"{_called(prior)}: none of its {len(prompts):,} prompts lies far enough from the erased")
        kept = [prompts[i] for i in stay]
        told.append({"prompts": len(kept), "left_out": len(prompts) - len(kept), "digest": digest(kept)})
        chosen = torch.zeros(len(prompts), dtype=torch.bool)
        chosen[stay] = True
        for name, one in found.items():
            rows = chosen[one.of]
            weights = one.counts[rows] * (prior.weight * WORDS / len(kept))
            parts.setdefault(name, []).append(Held(one.rows[rows], weights))
    both = {
        name: Held(torch.cat([one.rows for one in some]), torch.cat([one.weights for one in some]))
        for name, some in parts.items()
    }
    return both, told


def digest(prompts: Sequence[str]) -> str:
    """sha256 of a list of prompts, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(list(prompts), ensure_ascii=False).encode()).hexdigest()


def nearness(found: Mapping[str, States], names: Mapping[str, States]) -> Tensor:
    """How near each prompt lies to the nearest of some names `[n]`: the cosine of what their states after the content
    tell apart from the average prompt, averaged over the text inputs.
    """
    near = []
    for name, one in found.items():
        here, there = exact(one.after), exact(names[name].after)
        mean = here.mean(0)
        near.append(cosine_similarity((here - mean)[:, None], (there - mean)[None], dim=2))
    return torch.stack(near).mean(0).amax(1)


def states(text: TextSide, prompts: Sequence[str], options: Options) -> dict[str, States]:
    """Each text input's states of some prompts, from the cache or encoded now, so many at a time; an interruption loses
    what is not kept yet.
    """
    parts: dict[str, list[States]] = {}
    for first in range(0, len(prompts), BATCH):
        some = prompts[first : first + BATCH]
        found = _kept(text, some, options.cache)
        if found is None:
            found = reduced(text, some)
            _keep(text, some, found, options.cache)
            if options.progress is not None:
                options.progress("states of the prior", first + len(some), len(prompts))
        for name, one in found.items():
            parts.setdefault(name, []).append(States(one.rows, one.counts, one.of + first, one.after))
    return {
        name: States(*(torch.cat([getattr(one, part) for one in some]) for part in States.__slots__))
        for name, some in parts.items()
    }


def _apart(
    plan: Plan, prior: Prior, prompts: Sequence[str], found: Mapping[str, States], text: TextSide, options: Options
) -> list[int]:
    """Which prompts neither hold an erased name, inflected or not, nor lie near one."""
    names = list(dict.fromkeys(one.phrase for erasure in plan.active for one in edit_prompts(plan, erasure.targets)))
    table = forms(names, prompts)
    said = Phrases(((name, name) for name in names), stems_by(table))
    near = nearness(found, states(text, names, options)) > prior.cosine
    return [i for i, prompt in enumerate(prompts) if not near[i] and not said.inside(prompt)]


def _file(text: TextSide, prompts: Sequence[str], where: Path) -> Path:
    facts = json.dumps([FORMAT, text.encoders, digest(prompts)])
    return where / f"prior-{hashlib.sha256(facts.encode()).hexdigest()}.safetensors"


def _kept(text: TextSide, prompts: Sequence[str], where: Path | None) -> dict[str, States] | None:
    """What the folder `where` has of some prompts; None where it has nothing, or a damaged file."""
    held = None if where is None else store.read(_file(text, prompts, where))
    if held is None:
        return None
    names = dict.fromkeys(key.rpartition(".")[0] for key in held[0])
    return {name: States(*(held[0][f"{name}.{part}"] for part in States.__slots__)) for name in names}


def _keep(text: TextSide, prompts: Sequence[str], found: Mapping[str, States], where: Path | None) -> None:
    """Keep them there; a folder that cannot be written to is no reason to stop."""
    if where is not None:
        with contextlib.suppress(OSError):
            parts = {f"{name}.{part}": getattr(one, part) for name, one in found.items() for part in States.__slots__}
            store.keep(_file(text, prompts, where), parts)


def reduced(text: TextSide, prompts: Sequence[str]) -> dict[str, States]:
    """The states of some prompts, encoded now. Raises `EngineError` where one is not finite."""
    layouts = [text.layout(Prompt(prompt, "")) for prompt in prompts]
    result = {}
    for name, value in text.encode(prompts, keep=False).inputs.items():
        e = value.detach().cpu()
        if not torch.isfinite(e).all():
            raise EngineError(f"prior: the text states ({name}) of its prompts hold NaN or infinity")
        if e.shape[1] == 1:
            rows = e[:, 0].contiguous()
            result[name] = States(rows, torch.ones(len(e), dtype=torch.float64), torch.arange(len(e)), rows.clone())
            continue
        parts, counts, of = [], list[float](), list[int]()
        for i, layout in enumerate(layouts):
            told, padding = e[i, layout.start : layout.end + 1], e[i, layout.end + 1 :]
            parts += [told, padding.mean(0, keepdim=True)] if len(padding) else [told]
            counts += [1.0] * len(told) + [float(len(padding))] * bool(len(padding))
            of += [i] * (len(told) + bool(len(padding)))
        after = torch.stack([e[i, layout.end :].mean(0) for i, layout in enumerate(layouts)])
        result[name] = States(torch.cat(parts), torch.tensor(counts, dtype=torch.float64), torch.tensor(of), after)
    return result


def _called(prior: Prior) -> str:
    return "preserve prior" if prior.kind == "vocabulary" else f"preserve prior of {len(prior.prompts):,} prompts"
