"""What the reference says of windows, layers, methods and expectations, each sentence beside its check."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.pages.reading import (
    COMMANDS_PAGE,
    LANGUAGE,
    ROOT,
    codes,
    good,
    plan,
    refine,
    same,
    says,
    steer,
    tracec,
    write,
)
from tracelang import api
from tracelang.cli import COMMANDS
from tracelang.plan.bind import BindError
from tracelang.plan.layers import SelectionError
from tracelang.plan.windows import WindowError


@says(
    LANGUAGE,
    "The lower end is written first.",
    "0%..100%, always with `%`",
    "at least 0, without `%`",
    "any finite number, without `%`",
)
def test_windows(here: Path) -> None:
    def fine(window: str) -> bool:
        return good(f'window w = {window} erase "a"')

    assert fine("25%..100%") and fine("sigma 0.1..80") and fine("logsnr -3..2") and fine("t 0..500")
    for wrong in (
        "100%..25%",
        "25..100",
        "25%..101%",
        "sigma 1%..80%",
        "sigma -1..80",
        "logsnr -3%..2",
        "t 500..0",
        "t -1..5",
    ):
        assert not fine(wrong), wrong


@says(
    LANGUAGE,
    "A window includes its noisier end and excludes its cleaner one, so `0%..20%` and `20%..100%` share no step.",
)
def test_half_open(here: Path) -> None:
    method = 'erase "a" method trace { steer.hold.during = 0%..20% steer.push.during = 20%..100% }'
    path = write(here, r=method)
    told = json.loads(tracec("plan", path, "--model", "tiny", "--config-only", "--json").stdout)
    found = {one["label"]: one for step in told["passes"] for one in step["windows"]}
    assert found["hold"]["logsnr"][1] == found["push"]["logsnr"][0]
    assert found["hold"]["logsnr"][0] is None and found["push"]["logsnr"][1] is None


@says(
    LANGUAGE,
    "A term does not act where nothing lies before the chosen window.",
    "A pass with such a window samples at least 16 trajectories and trains no joint adapter, and its `gate` may be "
    "`auto` only where one concept is erased.",
    "Where a window is called `auto`, the bare word is its name.",
)
def test_chosen_windows(here: Path) -> None:
    chosen = "steer.push.during = auto 40% steer.hold.during = 0%..auto 40%"
    path = write(here, r=f'erase "a" method trace {{ {chosen} steer.gate = auto }}')
    told = tracec("plan", path, "--model", "tiny", "--config-only")
    assert "push     auto 40%               chosen for each concept when applied" in told.stdout
    assert "hold     0%..auto 40%           chosen for each concept when applied" in told.stdout
    facts = json.loads(tracec("plan", path, "--model", "tiny", "--config-only", "--json").stdout)
    found = {one["label"]: one for step in facts["passes"] for one in step["windows"]}
    assert found["gate"]["written"] == "auto 30%" and found["gate"]["logsnr"] is None is found["gate"]["times"]
    for wrong in ("steer.trajectories = 15", "steer.adapters = joint", "steer.gate = auto"):
        two = write(here, r=f'erase "a", "b" method trace {{ {chosen} {wrong} }}')
        refused = tracec("plan", two, "--model", "tiny", "--config-only")
        assert refused.exit_code == 1 and re.search(r"^error\[TL607\]: steer: .*`auto`", refused.stderr, re.M)
    assert (
        steer('window auto = 40%..90% erase "a" method trace { steer.push.during = auto }').terms[0].during.low == 0.4
    )


@says(
    LANGUAGE,
    "`tracec plan --model` prints the progress, the log-SNR and the times that it becomes.",
)
def test_plan_prints(here: Path) -> None:
    text = tracec("plan", write(here, r='erase "a"'), "--model", "tiny", "--config-only").stdout
    assert re.search(r"push +progress 0\.2\.\.1 +progress 20%\.\.100% +log-SNR \S+\.\.inf +time \d", text)


@says(
    LANGUAGE,
    "Every part of a selector has to match something in the model, the part behind `-` too. Otherwise `tracec "
    "plan` and `tracec apply` stop and name what is near.",
)
@says(
    COMMANDS_PAGE,
    "a selector, or a part of one, that matches nothing;",
)
def test_selectors(here: Path) -> None:
    for wrong in ('("*.nosuch")', '(text - "*.nosuch")', "(text in double)"):
        with pytest.raises(SelectionError):
            api.bind(plan(f'erase "a" method trace {{ steer.on = {wrong} }}'), "tiny")
    path = write(here, r='erase "a" method trace { steer.on = "*.attn2.to_z" }')
    for words in (["plan", path], ["apply", path, "--out", "out"]):
        result = tracec(*words, "--model", "tiny")
        assert result.exit_code == 1 and "attn2.to_" in result.stderr.replace("*.attn2.to_z", "")


@says(
    LANGUAGE,
    "In the head of a pass, `on` takes any of these. As the value of a setting, a set with `in` or `-` stands in "
    "parentheses.",
)
def test_sites(here: Path) -> None:
    assert good('erase "a" define method trace { refine on prompt in mid, "x" - key {} }')
    assert good('erase "a" method trace { refine.on = (prompt in mid) }')
    assert not good('erase "a" method trace { refine.on = prompt in mid }')


@says(
    LANGUAGE,
    "A recipe may use any of them.",
)
@says(
    COMMANDS_PAGE,
    "a pass or term that this version does not carry out yet;",
)
def test_methods(here: Path) -> None:
    for method in sorted(path.stem for path in (ROOT / "recipes" / "methods").glob("*.erase")):
        found = plan(f'concept a {{ names "a", "o" }} erase a toward "b" preserve "b", "c", "d" method {method}')
        assert api.bind(found, "tiny").passes


@says(
    LANGUAGE,
    "Passes and terms cannot be added this way.",
    "Two passes of one kind in a method, or two terms of one kind in a pass, need a label:",
    "A method has at least one pass and a `steer` pass at least one term.",
    "A local definition called `trace` replaces the default method of its file.",
)
def test_writing_methods(here: Path) -> None:
    assert codes('erase "a" method uce { steer.steps = 3 }') and codes(
        'erase "a" method trace { steer.suppress.weight = 3 }'
    )
    assert codes('erase "a" define method m { refine {} refine {} } method m') == ["TL220"]
    assert good('erase "a" define method m { refine {} refine as again {} } method m')
    assert (
        codes('erase "a" define method m {} method m')
        == codes('erase "a" define method m { steer {} } method m')
        == ["TL313"]
    )
    assert [step.kind for step in plan('erase "a" define method trace { refine {} }').method.passes] == ["refine"]


@says(
    LANGUAGE,
    "A term of weight 0 takes no part, nor does `keep` where nothing is preserved. A window that holds none of the "
    "sampler's steps is an error when model and recipe meet.",
)
@says(
    COMMANDS_PAGE,
    "a `steer` pass whose terms have nothing to train on;",
    "a window that the family cannot express, or that is empty on its clock, or holds none of the sampler's steps;",
    "a closed form of prompt states (`refine`, `project`, `harden`, `rotate`) on layers that do not read these alone;",
    "a degree between 0% and 100% with `rotate`;",
    "gates that do not go together;",
    "an adversary without a term that erases, or that would begin after the last step;",
)
def test_meeting_a_model(here: Path) -> None:
    def bound(method: str, more: str = "") -> None:
        api.bind(plan(f'erase "a" {more} define method m {{ {method} }} method m'), "tiny")

    bound("steer { push {} }")
    gates = "steer { gate = early push {} } steer as more { gate = late push {} }"
    for wrong in (
        "steer { push { weight = 0 } }",
        "steer { keep {} }",
        "steer { push during 50.1%..50.2% {} }",
        *(f"{closed} on query {{}}" for closed in ("refine", "project", "harden", "rotate")),
        "steer { adversary = word blank {} }",
        "steer { adversary = word adversary_after = 400 push {} }",
        gates,
    ):
        with pytest.raises((BindError, WindowError)):
            bound(wrong)
    bound("steer { keep {} }", 'preserve "b"')
    bound("rotate {}")
    with pytest.raises(BindError, match="no degree, and 50% is asked for"):
        api.bind(plan('erase "a" degree 50% define method m { rotate {} } method m'), "tiny")


@says(
    LANGUAGE,
    "An integer may be written as `1e3`. Settings take no percent sign.",
)
def test_settings(here: Path) -> None:
    assert steer('erase "a" method trace { steer.steps = 1e3 }').steps == 1000
    assert codes('erase "a" method trace { mask.share = 50% }') and codes('erase "a" method trace { steer.rate = 1% }')


@says(
    LANGUAGE,
    "the same as a plain number; where given, `ridge` is not used.",
)
def test_ridge(here: Path) -> None:
    assert refine('erase "a" method uce { refine.ridge_absolute = 2 }').ridge_absolute == 2


@says(
    LANGUAGE,
    "A gated edit (`steer.gate`) acts in memory only: `tracec apply` refuses it before it trains,",
)
def test_gates(here: Path) -> None:
    path = write(here, r='erase "a" method trace { steer.gate = early steer.steps = 1000000 }')
    result = tracec("apply", path, "--model", "tiny", "--out", "out")
    assert result.exit_code == 1 and "gate" in result.stderr and not Path("out").exists()


@says(
    LANGUAGE,
    "A block without a head means `over 100 samples seed 0`.",
    "A block is compiled and checked, and becomes part of the plan and of its digest.",
    "*Erased* means that the same set member stands in an `erase`. *Spared* means that it does not; it need not be "
    "preserved.",
    "A share and a ratio may be written in percent or as a fraction.",
)
def test_expectations(here: Path) -> None:
    assert same(
        'erase "a" expect { shown("a") <= 5% }', 'erase "a" expect over 100 samples seed 0 { shown("a") <= 0.05 }'
    )
    assert not same('erase "a" expect { shown("a") <= 5% }', 'erase "a"')
    assert codes('erase "a" expect { shown("b") <= 5% }') == codes('erase "a" expect { kept("a") >= 5% }') == ["TL305"]
    assert good('erase "a" expect { kept("b") >= 90% drift("b") <= 5% }')


@says(
    LANGUAGE,
    "[`tracec verify`](evidence.md) measures it.",
)
def test_verify_measures(here: Path) -> None:
    from tracelang.evidence.metrics import MEASURES
    from tracelang.semantics.tables import METRICS

    assert "verify" in COMMANDS and set(METRICS) == set(MEASURES)
