"""`report.html`: the report as one page that a newcomer can read, that works offline and asks nobody for anything.

Everything in a report is data: names and prompts come from recipes, files and attacks. The template escapes all of it,
`visible` makes what would hide show, and the page's own Content-Security-Policy allows its one style, its one script
and pictures inside the file, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeVar

from jinja2 import BaseLoader, Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from tracelang.evidence.report import wording
from tracelang.evidence.report.access import given, legend
from tracelang.evidence.report.chosen import DRAWN, drawn
from tracelang.evidence.report.learning import learning
from tracelang.evidence.report.plots import Line, Point, chart, whisker
from tracelang.evidence.report.readable import mute, strongest_read
from tracelang.evidence.report.spent import asks_nothing, spent
from tracelang.evidence.schema import AttackFinding, DegreePoint, NoiseLevels, Picture, Probed, Quality, Rate, Report
from tracelang.evidence.verdicts import rises
from tracelang.files import write_text
from tracelang.semantics.tables import ATTACKS, ROUNDINGS, SUITES
from tracelang.text import joined, visible

FORMATS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
LARGE, SIDE = 60_000, 384
"""A picture of more bytes than `LARGE` is put into the page with at most `SIDE` pixels a side; its file stays as is."""
SHOWN = 60
"""Pairs of pictures in the page, worst first. The rest is beside it as files."""
FEW = 12
"""So many expectations are spelled out beside a verdict that all of them hold."""
SECTIONS = {
    "verdict": "Verdict",
    "pictures": "Before and after",
    "concepts": "Concept by concept",
    "expectations": "Expectations",
    "many": "Many expectations at once",
    "attacks": "Under attack",
    "suites": "Suites of prompts",
    "controls": "Left in it, or learned anew?",
    "relearning": "Learnt again",
    "changed": "Rounded and merged",
    "comparison": "Beside another edit",
    "degree": "The dial",
    "noise": "Where it acts",
    "certificate": "From the weights",
    "judges": "The judges",
    "errors": "Errors",
    "cost": "Cost",
    "registered": "When it was planned and run",
    "provenance": "Provenance",
    "unasked": "Not asked",
    "untested": "Not tested",
}
"""The page's sections in order."""
UNASKED = {
    "suites": "prompts of published suites, for the recipe names none",
    "comparison": "another edit beside this one, which --against OUT names",
}
"""Sections that are left out where there is nothing in them, and what stands under "not asked" instead."""
WHATS = {
    "residual hit": ("Still found", "A judge finds what was to be gone."),
    "damaged": ("Answer changed", "The judge’s answer before the edit and after it stands with each pair."),
    "erased": ("Erased", "No judge finds what was to be gone, or none could tell."),
    "kept": ("Kept", "What was to stay, and everyday pictures, of which the recipe says nothing."),
}
"""Of each sort of pairs its title and what is said of it once."""


Shown = Literal["none", "plain", "all"]
"""Which pictures the page holds: none, all but the sensitive ones, or those too, blurred until asked for."""

F = TypeVar("F", AttackFinding, Probed)


class PictureError(Exception):
    """A picture that cannot be part of the page. `str()` is one line: which, why, and what to do."""


def write_html(report: Report, folder: Path, shown: Shown = "plain") -> None:
    """Write `folder/report.html`, one file with everything in it, and of the pictures those that are to be `shown`.

    `folder` holds the pictures that the report names. One that is missing leaves its name in its place. Raises
    PictureError for a path that leads out of `folder` or a file that is no PNG or JPEG, and OSError.
    """
    write_text(folder / "report.html", page(report, folder, shown))


def page(report: Report, folder: Path, shown: Shown = "plain") -> str:
    """The text of `report.html`."""
    style, script = _part("report.css"), _part("report.js")
    may = [one for one in report.pictures if shown == "all" or (shown == "plain" and not one.sensitive)]
    chosen = sorted(may, key=lambda picture: picture.order)[:SHOWN]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            sections={key: title for key, title in SECTIONS.items() if _has(report, key)},
            about=list(_about(report)),
            residue=list(_residue(report)),
            less=[
                f"{joined(one.member)}, {wording.probe(one)}: {after} after the edit, {never} from them"
                for one in _probes(report)
                if wording.less(one)
                for after, never, _ in [wording.beside(one)]
            ],
            decided=len(decided := [one for one in report.outcomes if one.verdict != "inconclusive"]),
            apart=[one for one in decided if not (one.rate and one.rate.n)],
            unasked=[told for key, told in UNASKED.items() if not _has(report, key)],
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; img-src data:; style-src {_hashed(style)}; script-src {_hashed(script)}; "
            "base-uri 'none'; form-action 'none'",
            groups=[(told, [_framed(folder, one) for one in some]) for told, some in _groups(chosen)],
            blurred=any(one.sensitive for one in chosen),
            hidden=len(may) - len(chosen),
            withheld=len(report.pictures) - len(may),
            quality=list(_quality(report.quality)),
            deciding=[one for one in report.outcomes if one.verdict == report.verdict],
            headline=list(_headline(report)),
            attacks=list(_by_member(report.attacks)),
            mute=mute(report),
            legend=legend(report.attacks),
            beside=[(member, _decided_first(found)) for member, found in _by_member(_probes(report))],
            brought=list(_brought(_probes(report))),
            known=any(judge.accuracy for judge in report.judges),
            trade_off=_trade_off(report.degrees),
            rises=[one.degree for one in rises(report.degrees)],
            levels=_levels(report.noise),
            learning=[(one, learning(one)) for one in report.relearning],
            told_apart=[drawn(one) for one in report.chosen[:DRAWN]],
        )
    )


@cache
def _part(name: str) -> str:
    return files("tracelang.evidence.report").joinpath(name).read_text(encoding="utf-8")


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    class Package(BaseLoader):
        def get_source(self, environment: Environment, template: str) -> tuple[str, None, None]:
            return _part(template), None, None

    environment = Environment(
        loader=Package(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    words: dict[str, Any] = {name: getattr(wording, name) for name in WORDS} | {"joined": joined}
    environment.filters |= words
    environment.globals |= words | {"whisker": whisker, "ATTACKS": ATTACKS, "SUITES": SUITES}
    environment.globals |= {"ROUNDINGS": ROUNDINGS, "FEW": FEW}
    environment.globals |= {"KINDS": wording.KINDS, "LESS": wording.LESS, "strongest_read": strongest_read}
    environment.globals |= {"VERDICTS": wording.VERDICTS, "spent": spent, "asks_nothing": asks_nothing}
    return environment


WORDS = (
    "percent", "number", "counted", "between", "at_most", "at_least", "chance", "listed", "size", "duration",
    "formula", "demand", "basis", "arithmetic", "measured", "mended", "strongest", "called", "held_out", "ticked",
    "level", "still",
    "probe", "points", "points_between", "so", "span", "moved", "verdict", "squared", "tried", "worked",
)  # fmt: skip


def _visible(value: object) -> object:
    """What every `{{ … }}` goes through: nothing in a name or a prompt hides or turns the text around."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def _inline(folder: Path, name: str) -> str | None:
    """The picture as a data URI; None where there is no such file."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PictureError(f"{name[:200]!r}: leads out of {folder}; a report's pictures lie beside it")
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None
    kind = next((kind for head, kind in FORMATS.items() if data.startswith(head)), None)
    if kind is None:
        raise PictureError(f"{path}: is no PNG or JPEG; draw the picture again")
    if len(data) > LARGE:
        data, kind = _smaller(path, data), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _smaller(path: Path, data: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            small = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"{path}: cannot be read as a picture ({error}); draw it again") from error
    small.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    small.save(out, format="JPEG", quality=88)
    return out.getvalue()


def _quality(found: Quality | None) -> Iterator[tuple[str, str]]:
    """What was measured of it; why the rest was not, its notes say."""
    if found is None:
        return
    figures = {"FID": found.fid, "KID": found.kid, "CLIP score before": found.clip_base}
    for name, value in {**figures, "CLIP score after": found.clip_after}.items():
        if value is not None:
            yield name, wording.number(value)
    yield "pictures", f"{found.n:,}"
    if found.extractor:
        yield "measured with", found.extractor


def _has(report: Report, section: str) -> bool:
    """Is there anything in a section that may be left out?"""
    if section == "unasked":
        return not all(_has(report, key) for key in (*UNASKED, "errors"))
    return section not in (*UNASKED, "errors") or bool(getattr(report, section))


def _about(report: Report) -> Iterator[tuple[str, str]]:
    """What was erased, from what and how, and how it was looked at."""
    if one := report.about:
        more = [f"and {len(one.erased) - FEW} more"] if len(one.erased) > FEW else []
        yield "erased", "; ".join([*one.erased[:FEW], *more]) or "nothing"
        size = [wording.parameters(one.parameters)] if one.parameters is not None else []
        yield "from", ", ".join([one.model, *([f"family {one.family}"] if one.family else []), *size])
        passes = "; ".join(f"{label}, {does}" for label, does in one.passes)
        yield "by the method", f"{one.method}: {passes}" if passes else one.method
    sampler = report.provenance.sampler
    told = [f"{sampler['steps']} sampler steps"] if "steps" in sampler else []
    told += [f"guidance {sampler['guidance']}"] if "guidance" in sampler else []
    yield "drawn with", ", ".join(told) or "nothing"
    yield "judged by", ", ".join(judge.name for judge in report.judges) or "nobody"
    yield "ran as registered", _registered(report)


def _registered(report: Report) -> str:
    it = report.registered
    if it is None or not it.registered:
        return "no: nothing was registered before, so bounds and samples could have been chosen after looking"
    return f"no: registered at {it.registered}, and run otherwise" if it.differs else f"yes, as of {it.registered}"


def _residue(report: Report) -> Iterator[str]:
    """What was shown to be left, whether an expectation asks about it or not."""
    for probed in _probes(report):
        if probed.verdict == "residue shown":
            yield wording.said_beside(probed).removeprefix(f"{probed.verdict}: ")
    for one in report.relearning:
        if one.reading == "residue shown":
            yield f"{joined(one.member)}, learnt again ({one.pictures} pictures, {one.tuning}): {one.reason}"


def _headline(report: Report) -> Iterator[tuple[str, str, str]]:
    """The three figures to remember, each the worst of its sort: label, figure, what it means."""
    after = {
        role: [(one, one.after) for one in report.concepts if one.role == role and one.after and one.after.n]
        for role in ("erased", "preserved")
    }
    if after["erased"]:
        one, rate = max(after["erased"], key=lambda found: found[1].share)
        yield f"{joined(one.member)}, asked for by name", wording.counted(rate), _still(rate)
    silent = mute(report)
    if (worst := strongest_read(report.attacks, silent) or wording.strongest(report.attacks)) and worst.adaptive:
        label = f"{joined(worst.member)}, under attack by {wording.called(worst)}"
        told = f"{_still(worst.adaptive)}; asked for by name {wording.at_most(worst.plain)}"
        told += "; says little by itself" if (worst.member, worst.attack) in silent else ""
        yield label, wording.counted(worst.adaptive), told
    if after["preserved"]:
        one, rate = min(after["preserved"], key=lambda found: found[1].share - (found[0].base or found[1]).share)
        was = f"; before {wording.counted(one.base)}" if one.base else ""
        yield (
            f"{joined(one.member)}, meant to stay",
            wording.counted(rate),
            f"still show it, at least {wording.percent(rate.low)}{was}",
        )


def _still(rate: Rate) -> str:
    return f"still show it, {wording.still(rate)}"


def _groups(pictures: Iterable[Picture]) -> Iterator[tuple[tuple[str, str], list[Picture]]]:
    """Title and caption of each sort of pairs, the sort of the worst first."""
    found: dict[tuple[str, str], list[Picture]] = {}
    for one in pictures:
        found.setdefault((one.what, one.attack), []).append(one)
    for (what, attack), some in found.items():
        title, told = WHATS[what]
        yield (f"{title} under {attack}", given(attack)) if attack else (title, told), some


def _framed(folder: Path, one: Picture) -> tuple[Picture, str | None, str | None]:
    return one, _inline(folder, one.base), _inline(folder, one.after)


def _probes(report: Report) -> tuple[Probed, ...]:
    return report.controls.probes if report.controls else ()


def _decided_first(found: Iterable[Probed]) -> list[Probed]:
    """What was decided before what is open, and of each what shows most after the edit first."""
    return sorted(found, key=lambda one: (one.verdict == "open", -one.edited.share if one.edited else 1.0))


def _brought(probes: Iterable[Probed]) -> Iterator[tuple[Probed, Rate]]:
    """What a model shows that has learned nothing."""
    for one in probes:
        if one.random and (rate := one.random.rate) and rate.hits:
            yield one, rate


def _by_member(findings: Iterable[F]) -> Iterator[tuple[tuple[str, ...], list[F]]]:
    order = sorted(findings, key=lambda one: one.member)
    for member, group in groupby(order, key=lambda one: one.member):
        yield member, list(group)


def _trade_off(points: Iterable[DegreePoint]) -> Markup | None:
    points = sorted(points, key=lambda point: point.degree)
    shown = [Point(p.degree, p.shown.share, p.shown.low, p.shown.high) for p in points if p.shown.n]
    kept = [Point(p.degree, p.kept.share, p.kept.low, p.kept.high) for p in points if p.kept and p.kept.n]
    lines = [Line(*one) for one in (("kept", "kept", kept), ("still shown", "erased", shown)) if one[2]]
    if not lines:
        return None
    return chart(
        "Share of pictures, with 95 % intervals, that show the erased and that keep the preserved concepts, "
        "by the strength of the edit. The table beside it holds the same figures.",
        lines,
        "strength of the edit",
        wording.ticked,
        wording.ticked,
        y_top=1.0,
        x_ticks=[point.degree for point in points],
        y_step=0.25,
    )


def _levels(noise: NoiseLevels | None) -> Markup | None:
    if noise is None or not noise.logsnr:
        return None
    lines = [
        Line(name, tone, [Point(x, y, y, y) for x, y in sorted(zip(noise.logsnr, values, strict=True))])
        for name, tone, values in (("erased", "erased", noise.erased), ("preserved", "kept", noise.preserved))
        if values
    ]
    if not lines:
        return None
    return chart(
        "Relative change of the prediction on erased and on preserved prompts, by noise level.",
        lines,
        "log-SNR: pure noise to finished picture",
        wording.level,
        wording.ticked,
    )
