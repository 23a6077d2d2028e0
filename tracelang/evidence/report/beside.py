"""The edit beside its controls: every probe on base, edited, never-knew and random models, and what that says."""

from __future__ import annotations

from tracelang.evidence.controls import RANDOM
from tracelang.evidence.intervals import Difference, clustered, holm
from tracelang.evidence.metrics.excess import LEAK, MARGIN, POWER, Compared, Looked, compare, looked
from tracelang.evidence.report.figures import Evidence
from tracelang.evidence.schema import Controls, Excess, OnControl, Probed
from tracelang.evidence.units.control import ControlSide, Probe
from tracelang.plan.types import Member


def controls(evidence: Evidence) -> Controls | None:
    """Every probe that was tried on a control, once for each concept; None where there are no controls."""
    names: dict[str, list[str]] = evidence.run.facts.get("controls", {})
    if not names:
        return None
    main: dict[tuple[Member, str], Probe] = {}
    for probe in evidence.measured.controls:
        held = main.get((probe.member, probe.how))
        if held is None or probe.samples > held.samples:
            main[probe.member, probe.how] = probe
    found = [(probe, looked(evidence.measured, probe)) for probe in main.values()]
    compared = [compare(one) for _, one in found]
    tested = [i for i, one in enumerate(compared) if one.excess is not None and not one.why]
    together = holm([one.p for i in tested if (one := compared[i].excess) is not None])
    holds = dict(zip(tested, together, strict=True))
    models = {name: told[0] for name, told in names.items()}
    probes = [_probed(probe, one, compared[i], holds.get(i, False), models) for i, (probe, one) in enumerate(found)]
    order = {erasure.targets: i for i, erasure in enumerate(evidence.plan.erase)}
    probes.sort(key=lambda one: order.get(one.member, len(order)))
    return Controls(probes=tuple(probes), tests=len(tested), margin=MARGIN, leak=LEAK, power=POWER)


def _probed(probe: Probe, found: Looked, compared: Compared, held: bool, models: dict[str, str]) -> Probed:
    verdict, why = compared.verdict(held)
    sound = not found.reason
    never = [_on(name, models.get(name, name), side, found) for name, side in found.never.items()]
    shares = [one.rate.share for one in never if one.rate is not None]
    random = found.controls.get(RANDOM)
    return Probed(
        member=probe.member,
        how=probe.how,
        targets=len(found.edited),
        base=clustered([one.shows for one in found.base], found.groups) if sound else None,
        edited=clustered([one.shows for one in found.edited], found.groups) if sound else None,
        never=tuple(never),
        mean=sum(shares) / len(shares) if shares and len(shares) == len(never) else None,
        random=None if random is None else _on(RANDOM, models.get(RANDOM, RANDOM), random, found),
        excess=_told(compared.excess),
        room=_told(compared.room),
        share=compared.share,
        valid=compared.valid,
        powered=compared.powered,
        held=held,
        verdict=verdict,
        why=why,
    )


def _on(name: str, model: str, side: ControlSide, found: Looked) -> OnControl:
    if side.reason or not side.shows:
        return OnControl(name=name, model=model, reason=side.reason or "nothing was drawn")
    return OnControl(name=name, model=model, rate=found.on(side))


def _told(found: Difference | None) -> Excess | None:
    return None if found is None else Excess(value=found.value, low=found.low, high=found.high, p=found.p)
