"""Training against an adversary: inputs that still bring the concept back are searched for, and erased too.

docs/methods.md §3.5. Every `adversary_every` steps a search takes rows of `push` from the cached trajectories,
`(z_t, t, c)`, and descends from an input `a` to where the student predicts what the original model does for the clean
prompt:

    min over a  ‖ pred_θ(z_t, t, [c; a]) − pred°(z_t, t, c) ‖²,   θ fixed.

What it finds goes into a pool of the last `POOL` of each concept. At every step a share of the rows of `push` takes an
input of its concept's in place of its clean prompt, toward the target of the clean one, and the same share of the rows
of `keep` takes one beside what is preserved: else a model learns that whatever comes with `a` is the anchor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor, nn

from tracelang.engine.batch import Slot
from tracelang.engine.batches import batches
from tracelang.engine.errors import EngineError
from tracelang.engine.found import Found
from tracelang.engine.rollout import Encode, Trajectories
from tracelang.engine.seeds import generator
from tracelang.engine.task import Task
from tracelang.models import free
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.prompts import Prompt
from tracelang.plan.types import Member
from tracelang.semantics.passes.steer import Search

POOL = 16
KINDS: tuple[Search, ...] = get_args(Search)
TOKENS = "tokens"
"""The text input whose states `states` looks for."""


@dataclass(frozen=True, slots=True)
class Searched:
    """A search at a step, and its error on its own rows before and after."""

    step: int
    kind: Search
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Finds:
    """The last that were found, oldest first, with those that an earlier pass left; and all searches of this one."""

    pool: tuple[Found, ...] = ()
    searches: tuple[Searched, ...] = ()

    def figures(self) -> list[dict[str, Any]]:
        return [{"step": s.step, "kind": s.kind, "before": s.before, "after": s.after} for s in self.searches]

    def packed(self) -> dict[str, Tensor]:
        """As tensors, for a saved state; empty where there is nothing."""
        if not (self.searches or self.pool):
            return {}
        rows = [[s.step, KINDS.index(s.kind), s.before, s.after] for s in self.searches]
        found = {f"{i} {one.of} {one.kind}": one.value for i, one in enumerate(self.pool)}
        return {"searches": torch.tensor(rows, dtype=torch.float64).view(-1, 4), **found}

    @staticmethod
    def unpacked(tensors: Mapping[str, Tensor]) -> Finds:
        """The inverse of `packed`."""
        if not tensors:
            return Finds()
        rows = tensors["searches"].tolist()
        searches = tuple(Searched(int(step), KINDS[int(kind)], before, after) for step, kind, before, after in rows)
        pool = {}
        for name, value in tensors.items():
            i, of, kind = name.split(" ") if name != "searches" else ("", "", "")
            if kind in KINDS:
                pool[int(i)] = Found(kind, value, int(of))
        return Finds(tuple(pool[i] for i in sorted(pool)), searches)


@dataclass(frozen=True, slots=True)
class Adversary:
    """Searches on the concepts' behalf, in turn. `shortest..longest` are the norms of real states, `spread` their
    deviation, and `wide` that of the embeddings.
    """

    task: Task
    model: Model
    encode: Encode
    parameters: Sequence[nn.Parameter]
    pushed: Slot
    shortest: float
    longest: float
    spread: float
    wide: float

    def searched(
        self, student: Model, concepts: Sequence[Trajectories], finds: Finds, step: int
    ) -> tuple[Finds, dict[str, int]]:
        """The finds after this step's search, where one is due, and what was asked of the model for it."""
        settings = self.task.settings
        if not settings.adversary:
            return finds, {}
        number, off = divmod(step - settings.adversary_after, settings.adversary_every)
        if number < 0 or off:
            return finds, {}
        kind = settings.adversary[number % len(settings.adversary)]
        of = number // len(settings.adversary) % len(concepts)
        erased = concepts[of]
        random = generator(f"adversary {settings.label}", self.task.name, step, settings.seed)
        n, s, rows = self._rows(erased, kind, random)
        prompts = [erased.prompts[int(i)] for i in n]
        place, options = student.device, self.task.options
        latents, times = erased.latents[n, s].to(place), erased.times[s].float().to(place)
        wanted, counts = erased.conditional[n, s].float().to(place), rows.to(place)

        def error(value: Tensor) -> float:
            """Adds its gradient to `value`, where that wants one; in parts, as a training step is."""
            total = 0.0
            for part in batches(range(len(prompts)), options.micro_batch or len(prompts)):
                at = slice(part[0], part[-1] + 1)
                states = TextStates.cat([self._with(Found(kind, value), prompt, False) for prompt in prompts[at]])
                with torch.autocast(place.type, torch.bfloat16, enabled=options.autocast):
                    prediction = student.predict(latents[at], times[at], states)
                loss = (prediction.float() - wanted[at]).square().flatten(1).mean(1) @ counts[at]
                if loss.requires_grad:
                    loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
            return total

        before, value, after = self._descended(
            kind, self._start(kind, [one for one in finds.pool if one.of == of], random), error, step
        )
        pool = (*finds.pool, Found(kind, value.cpu(), of))[-POOL * len(concepts) :]
        finds = Finds(pool, (*finds.searches, Searched(step, kind, before, after)))
        return finds, {"trained": len(prompts) * settings.adversary_steps, "frozen": len(prompts)}

    def planted(self, states: TextStates, prompts: Sequence[str], finds: Finds, step: int) -> TextStates:
        """The states of a batch's rows, and in a share of those of `push` and `keep` what was found."""
        if not finds.pool:
            return states
        settings = self.task.settings
        random = generator(f"adversary rows {settings.label}", self.task.name, step, settings.seed)
        inputs = {name: value.clone() for name, value in states.inputs.items()}
        number = {start.prompt: i for i, one in enumerate(self.task.erased) for start in one.starts}
        of = {i: [one for one in finds.pool if one.of == i] for i in range(len(self.task.erased))}
        begin = 0
        for slot in self.task.slots:
            here = range(begin, begin + slot.rows)
            begin += slot.rows
            kept = slot.term.on == "preserved"
            if not (kept or pushes(slot)):
                continue
            for i in here[: max(1, round(settings.adversary_share * slot.rows))]:
                pool = finds.pool if kept else of[number[prompts[i]]]
                if not pool:
                    continue
                found = pool[int(torch.randint(len(pool), (), generator=random))]
                if self._takes(prompts[i], found.kind, kept):
                    for name, value in self._remembered(found, prompts[i], kept).inputs.items():
                        inputs[name][i] = value[0]
        return TextStates(inputs)

    def _rows(self, erased: Trajectories, kind: Search, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Which trajectories, at which steps, and what each row counts for."""
        able = [i for i, prompt in enumerate(erased.prompts) if self._takes(prompt, kind, False)]
        if not able:
            raise EngineError(
                f"steer: no prompt of {self.task.label!r} has room for what `{kind}` looks for; lower adversary_length"
            )
        rows, slot = self.pushed.rows, self.pushed
        n = torch.tensor(able)[torch.randint(len(able), (rows,), generator=random)]
        at = torch.randint(len(slot.steps), (rows,), generator=random)
        return n, slot.steps[at], slot.counts[at] / rows

    def _start(self, kind: Search, pool: Sequence[Found], random: torch.Generator) -> Tensor:
        """One of the pool, or as often a row of the vocabulary; of states, those of another prompt."""
        own, length = [one.value for one in pool if one.kind == kind], self.task.settings.adversary_length
        if own and torch.rand((), generator=random) < 0.5:
            return own[int(torch.randint(len(own), (), generator=random))].clone()
        if kind == "states":
            texts = [text for text, prompt in self.task.prompts.items() if self.model.layout(prompt).phrase]
            text = texts[int(torch.randint(len(texts), (), generator=random))]
            rows = self.encode([text]).inputs[TOKENS][0]
            first = min(self.model.layout(self.task.prompts[text]).phrase[0], len(rows) - length)
            return rows[max(0, first) : max(0, first) + length].float()
        words = self.model.prompt_encoder
        known = torch.arange(len(words.free))[words.free]
        drawn = known[torch.randint(len(known), (length if kind == "prefix" else 1,), generator=random)]
        return words.table[drawn.to(words.table.device)].float()

    def _descended(
        self, kind: Search, start: Tensor, error: Callable[[Tensor], float], step: int
    ) -> tuple[float, Tensor, float]:
        """The error at the start, what is found, and the error there. The student asks for no gradient meanwhile."""
        settings, value = self.task.settings, self._bounded(kind, start).to(self.model.device).requires_grad_()
        peak = settings.adversary_rate * (self.spread if kind == "states" else self.wide)
        adam = torch.optim.Adam([value], lr=peak)
        errors = []
        with still(self.parameters):
            for i in range(settings.adversary_steps):
                adam.zero_grad()
                adam.param_groups[0]["lr"] = peak * (1 - i / settings.adversary_steps)
                errors.append(error(value))
                adam.step()
                with torch.no_grad():
                    value.copy_(self._bounded(kind, value))
            with torch.no_grad():
                errors.append(error(value))
        if not (torch.isfinite(value).all() and all(map(math.isfinite, errors))):
            where = f"the search for {kind} at step {step} of {self.task.label!r}"
            raise EngineError(f"steer: {where} is not finite; lower adversary_rate")
        return errors[0], value.detach(), errors[-1]

    def _bounded(self, kind: Search, value: Tensor) -> Tensor:
        """States scaled into the range of real ones' norms: outside it, what is found tells nothing of the model."""
        if kind != "states":
            return value.detach().clone()
        norms = value.detach().norm(dim=-1, keepdim=True)
        bounded: Tensor = value.detach() * (norms.clamp(self.shortest, self.longest) / norms.clamp_min(1e-12))
        return bounded

    def _takes(self, prompt: str, kind: Search, kept: bool) -> bool:
        """Whether the prompt has room for an input of the kind."""
        asked = self.task.prompts.get(prompt)
        if asked is None:
            return False
        layout = self.model.layout(asked)
        if kind == "states":
            return bool(layout.phrase) and layout.phrase[-1] + 1 < layout.length
        return self._slot(asked, kind, kept) is not None

    def _slot(self, prompt: Prompt, kind: Search, kept: bool) -> free.Slot | None:
        """Where embeddings go: a prefix before the phrase, a word in its place; beside it where it is preserved."""
        ids, layout = self.model.prompt_encoder.tokens([prompt.text])[0], self.model.layout(prompt)
        if kind == "prefix":
            return free.beside(ids, layout, self.task.settings.adversary_length, before=True)
        return free.beside(ids, layout, 1, before=False) if kept else free.instead(ids, layout)

    def _with(self, found: Found, prompt: str, kept: bool) -> TextStates:
        """The prompt with the input, one row: states stand behind its phrase."""
        asked = self.task.prompts[prompt]
        if found.kind == "states":
            plain = self.encode([prompt])
            rows, at = plain.inputs[TOKENS][0], self.model.layout(asked).phrase[-1] + 1
            value = found.value[: len(rows) - at].to(rows)
            put = torch.cat([rows[:at], value, rows[at + len(value) :]])
            return TextStates({**plain.inputs, TOKENS: put[None]})
        slot, words = self._slot(asked, found.kind, kept), self.model.prompt_encoder
        assert slot is not None
        return free.encode(words, [slot], found.value.to(words.table.device)[None])

    @torch.no_grad()
    def _remembered(self, found: Found, prompt: str, kept: bool) -> TextStates:
        if found.kind == "states":  # which no encoder has to read: nothing is worth the memory
            return self._with(found, prompt, kept)
        if prompt not in found.encoded:
            made = self._with(found, prompt, kept).inputs
            found.encoded[prompt] = TextStates({name: value.cpu() for name, value in made.items()})
        return found.encoded[prompt]


def carried(task: Task, left: Mapping[Member, Sequence[Found]]) -> Finds:
    """What earlier passes found against the task's concepts, where it begins anew with that (docs/methods.md §3.9)."""
    if task.settings.from_ != "base":
        return Finds()
    return Finds(
        tuple(Found(f.kind, f.value, i) for i, one in enumerate(task.erased) for f in left.get(one.targets, ()))
    )


def adversary(
    task: Task, model: Model, encode: Encode, parameters: Iterable[nn.Parameter], finds: Finds
) -> Adversary | None:
    """What searches, or plants what was found before; None where the pass asks for neither."""
    if not (task.settings.adversary or finds.pool):
        return None
    pushed = next(slot for slot in task.slots if pushes(slot))
    real = torch.cat([encode([text]).inputs[TOKENS][0, model.layout(p).start :] for text, p in task.prompts.items()])
    norms, words = real.float().norm(dim=-1), model.prompt_encoder
    embeddings = words.table[words.free.to(words.table.device)].float()
    bounds = float(norms.min()), float(norms.max())
    return Adversary(task, model, encode, tuple(parameters), pushed, *bounds, _spread(real), _spread(embeddings))


def _spread(rows: Tensor) -> float:
    return float(rows.float().std())


def pushes(slot: Slot) -> bool:
    """Whether the slot's term erases: what `hold` keeps is the clean prompt's own way."""
    return slot.term.erases


@contextmanager
def still(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Without gradients for the parameters, which are left as they were."""
    for part in parameters:
        part.requires_grad_(False)
    try:
        yield
    finally:
        for part in parameters:
            part.requires_grad_(True)
