"""`certify`: the certificate of an OUT made again, without a judge, a picture or a denoiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isclose
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tracelang.evidence import artifact as artifacts
from tracelang.evidence import compared
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.certificate import certify as certificate
from tracelang.evidence.certificate import texts
from tracelang.evidence.expectations import outcome
from tracelang.evidence.metrics.metric import Measured
from tracelang.evidence.schema import Certificate, Count, Frozen, Outcome, Report, Verdict
from tracelang.evidence.sides import sides
from tracelang.evidence.verdicts import worst
from tracelang.models.locate import family_of
from tracelang.plan.protected import guard
from tracelang.plan.types import Plan
from tracelang.semantics.tables import METRICS
from tracelang.text import joined

SAME = 1e-6
"""Two figures are the same where they differ by less than this share: sums of many numbers have an order."""


class Certified(Frozen):
    """What `tracec certify` found out. `verdict` is over all that the recipe expects of weights, and `inconclusive`
    where it expects nothing of them; `encoded` is how many texts were encoded, and not drawn, `protected` how many of
    these speak of something protected. `report`: whether OUT's report says the same, or that there is none; `differing`
    names each figure that is another there.
    """

    format_version: Literal[1] = 1
    plan: str
    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    certificate: Certificate
    encoded: Count
    protected: Count
    report: Literal["same", "differs", "none"]
    differing: tuple[str, ...] = ()


def certify(
    out: str | Path,
    model: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    config: str | None = None,
) -> Certified:
    """Make the certificate of the edit in OUT, as `verify` does, and set it beside the one in OUT's report.

    Reads the matrices from the files, one at a time, and loads the text encoder alone. `model`, `config`: where the
    base is, as for `verify`. Raises EvidenceError where a file of OUT or the base is not what was applied, or the
    report cannot be read; ModelError, EngineError, CompileError.
    """
    artifact = artifacts.read(Path(out))
    base = artifacts.find_base(artifact, model, config)
    compared.with_base(artifact, base)
    compared.adapter(artifact, base)
    text = family_of(base).text(base, device, dtype)
    found = certificate(artifact.plan, sides(artifact, base, text))
    told, read, wall = outcomes(artifact.plan, found), texts(artifact.plan), guard(artifact.plan)
    other = _reported(artifact.report / "report.json")
    differing = () if other is None else tuple(differences(found, other))
    return Certified(
        plan=artifact.plan.digest,
        verdict=worst([one.verdict for one in told]),
        outcomes=told,
        certificate=found,
        encoded=len(read),
        protected=0 if wall is None else sum(wall.of(one) is not None for one in read),
        report="none" if other is None else "differs" if differing else "same",
        differing=differing,
    )


def outcomes(plan: Plan, found: Certificate) -> tuple[Outcome, ...]:
    """What came of each expectation that weights decide."""
    measured = Measured(plan, {}, {}, {}, certificate=found)
    return tuple(outcome(one, measured) for one in plan.expect if METRICS[one.metric].source == "weights")


def differences(found: Certificate, other: Certificate) -> Iterator[str]:
    """Every figure that is not the same in another certificate, by its name."""
    here, there = _figures(found), _figures(other)
    if found.states != other.states:
        yield f"text states: computed on {other.states or 'an unknown device'} there, on {found.states} here"
    for name in dict.fromkeys([*here, *there]):
        one, two = here.get(name), there.get(name)
        same = isclose(one, two, rel_tol=SAME, abs_tol=1e-9) if _number(one) and _number(two) else one == two  # type: ignore[arg-type]
        if not same:
            yield f"{name}: {_told(two)} there, {_told(one)} here"


def _figures(found: Certificate) -> dict[str, object]:
    """Every figure by a name; those of concepts and matrices by theirs."""
    flat: dict[str, object] = {}

    def put(name: str, value: object) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                put(f"{name} {key}".strip(), inner)
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                put(f"{name} {i + 1}", inner)
        else:
            flat[name] = value

    for one in found.reaches:
        put(joined(one.member), one.model_dump(mode="json", exclude={"member"}))
    for layer in found.layers:
        put(layer.tensor, layer.model_dump(mode="json", include={"change", "condition"}))
    put("", found.model_dump(mode="json", exclude={"reaches", "layers", "ladder", "untouched", "states"}))
    return flat


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _told(value: object) -> str:
    return "nothing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _reported(file: Path) -> Certificate | None:
    """The certificate in a report; None where there is no report. Raises EvidenceError."""
    try:
        report = Report.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise EvidenceError(f"{file}: cannot be read as a report; verify {file.parent.parent} again") from error
    if report.certificate is None:
        raise EvidenceError(f"{file}: holds no certificate; verify {file.parent.parent} again")
    return report.certificate
