"""What an editor asks about a place: hover, completion, definition, references, rename, outline, formatting."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from tests.lsp.editor import Editor, applied, stretch
from tracelang.cli import COMMANDS
from tracelang.diagnostics import Findings, Source
from tracelang.lsp.completion import MAX_OFFERED
from tracelang.semantics.fields import settings
from tracelang.semantics.kinds import PASSES, TERMS, declared, kinds
from tracelang.semantics.rulebook import rules
from tracelang.semantics.tables import AFTERS, ATTACKS, CONTROLS, FAMILIES, HEADER, KINDS, METRICS, ROUNDINGS, SUITES
from tracelang.semantics.values import PLACES, READS, ROLES
from tracelang.syntax.format import format_text
from tracelang.syntax.table import load

LIB = 'tracelang 1\nparam much = 10% in 0%..100%\nconcept fox { names "fox" }\ngroup pack = fox, "wolf"\n'
CSV = "name,type\nfox,erase\ndog,keep\n"
HEAD = """tracelang 1
import "lib.erase" as lib
from "lib.erase" import pack
param deg = 50% in 0%..100%
concept cat kind identity { names "cat", "kitty" probes "purr" templates "a {} here" }
group pets = cat, "dog", list "animals.csv" column "name" where "type" is "erase"
window soon = 60%..100%
layers deep = text in mid
templates plain = "a {}"
define method mine = trace { steer.rank = 4 }
"""
STATEMENTS = [word for word, kind in load().literals.items() if kind in load().states[load().start]]


@pytest.fixture(scope="module", autouse=True)
def files(here: Editor) -> None:
    here.write("lib.erase", LIB)
    here.write("animals.csv", CSV)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("erase c|at", ["concept `cat`", "`kitty`", "Probes, held out: `purr`", "Prompts (2)", "`a kitty here`"]),
        ("erase p|ets", ["group `pets`", "3 members", '`"fox"`']),
        ("erase lib.f|ox", ["concept `fox`", "Defined in `lib.erase`"]),
        ("erase l|ib.fox", ["import `lib`", "`lib.erase`"]),
        ('erase "ca|ke"', ['concept `"cake"`', "`a photo of cake`"]),
        ("method m|ine", ["define method mine = trace"]),
        ("method tr|ace", ["```erase", "steer on denoiser"]),
        ("method trace { steer.ra|nk = 3 }", ["Rank of each adapter", "from 1 to 512", "Default: `8`"]),
        ("method trace { steer.push.stren|gth = 1 }", ["Default: `1`", "Here: `0.25`"]),
        ("method trace { steer.pu|sh.weight = 1 }", ["toward its anchor"]),
        ("define method m { ref|ine { } }", ["pass `refine`", "closed form"]),
        ("define method m { steer { pu|sh { } } }", ["term `push`"]),
        ("define method m { refine { rid|ge = 1 } }", ["setting `ridge`", "above 0", "Default: `0.01`"]),
        ("define method m { steer { push during so|on { } } }", ["window soon = 60%..100%"]),
        ("define method m { steer { loss = velo|city push { } } }", ["`prediction`", "`velocity`"]),
        ("define method m { refine on de|ep { } }", ["layers deep = text in mid"]),
        ("expect { sho|wn(cat) <= 5% }", ["metric `shown`", "At most the bound"]),
        ("expect { attack(cat, p4|d) <= 5% }", ["attack `p4d`", "white box"]),
        ("control nev|er", ["control `never`", CONTROLS["never"]]),
        ('expect { shown(cat) on suite "s" as hu|b <= 5% }', ["suite `hub`", SUITES["hub"]]),
        ("expect { shown(cat) after rou|nd int8 <= 5% }", ["after round", AFTERS["round"]]),
        ("expect { shown(cat) after round nf|4 <= 5% }", ["number format `nf4`", ROUNDINGS["nf4"]]),
        ('concept z kind sty|le { names "z" }', ["kind `style`", KINDS["style"]]),
        ('recipe "r" { supports = sd|xl }', [FAMILIES["sdxl"]]),
        ("erase cat degree param.d|eg", ["param deg = 50%"]),
        ("erase cat degree param.lib.mu|ch", ["param much", "Defined in `lib.erase`"]),
        ('group h = list "ani|mals.csv" column "name"', ["list `animals.csv`", "2 texts", "`dog`"]),
        ('include "li|b.erase"', ["recipe `lib.erase`"]),
        ("preserve pr|ior", ["vocabulary"]),
        ("# tracec: allow TL5|01 used by others", [rules()["TL501"].title, "*Why.*"]),
        ("preserve prior { cos|ine = 0.5 }", ["setting `cosine`", "Default: `0.8`"]),
    ],
)
def test_hover(here: Editor, text: str, wanted: list[str]) -> None:
    shown = here.hover("hover.erase", HEAD + text + "\n")
    assert [one for one in wanted if one not in shown] == [], shown


def test_hover_on_a_finding_tells_its_rule(here: Editor) -> None:
    text = HEAD + "erase nobody\n"
    here.type("told.erase", text)
    here.heard("told.erase", lambda found: any(one.code == "TL201" for one in found))
    shown = here.hover("told.erase", text.replace("nobody", "no|body"))
    assert rules()["TL201"].title in shown and "*Use instead.*" in shown


def test_nothing_to_say(here: Editor) -> None:
    assert here.hover("hover.erase", HEAD + "era|se cat\n") == ""
    assert here.hover("hover.erase", HEAD + "# any|thing\n") == ""


PASS, TERM = "define method m { steer { ", "define method m { steer { push { "
FULL: list[tuple[str, list[str]]] = [
    ("|", STATEMENTS),
    ("er|", ["erase"]),
    ("erase |", ["cat", "pack", "pets", "lib", "list"]),
    ("erase lib.|", ["fox", "pack"]),
    ("erase cat |", ["toward", "away", "degree", "except"]),
    ("erase cat degree |", ["param.deg", "param.lib.much"]),
    ("erase cat degree param.|", ["deg"]),
    ("preserve |", ["cat", "list", "prior"]),
    ("preserve prior { |", ["cosine", "sample", "seed"]),
    ("concept d kind |", list(KINDS)),
    ("concept d {\n  |", ["names", "probes", "templates"]),
    ("concept d { templates |", ["plain", "object", "list"]),
    ("group h = pets except |", ["cat", "pets"]),
    ('group h = list "|', ["animals.csv", "std/"]),
    ("group h = list |", ["animals.csv"]),
    ('group h = list "animals.csv" |', ["column"]),
    ('group h = list "animals.csv" column "|', ["name", "type"]),
    ('group h = list "animals.csv" column "name" where "ty|', ["name", "type"]),
    ('group h = list "animals.csv" column "name" where "type" is "|', ["erase", "keep"]),
    ('import "|', ["lib.erase", "std/"]),
    ('import "std/|', ["std/things.erase", "std/styles.erase"]),
    ('import "lib.erase" |', ["as"]),
    ('from "lib.erase" import |', ["fox", "pack", "much"]),
    ("method |", ["mine", "trace", "uce", "esd"]),
    ("method trace { |", ["steer", "refine"]),
    ("method trace { steer.|", ["push", *settings(declared(PASSES, "steer"))]),
    ("method trace { steer.push.|", list(settings(declared(TERMS, "push")))),
    ("method trace { refine.tokens = |", ["phrase", "tail", "all"]),
    ("define method m { |", kinds(PASSES)),
    (PASS + "|", [*settings(declared(PASSES, "steer")), *kinds(TERMS)]),
    (PASS + "rank = 3 ra|", ["rate"]),
    (PASS + "loss = |", ["prediction", "velocity"]),
    (PASS + "adversary = |", ["prefix", "states", "word", "none"]),
    (PASS + "push during |", ["soon", "late", "auto", "sigma", "logsnr", "t"]),
    (TERM + "|", list(settings(declared(TERMS, "push")))),
    (TERM + "weight = |", ["param.deg"]),
    ("define method m { refine on |", ["deep", *READS, *ROLES]),
    ("layers l = text in |", list(PLACES)),
    ("layers l = text - |", ["deep", *ROLES]),
    ("window w = |", ["soon", "early", "auto", "sigma"]),
    ("expect { |", list(METRICS)),
    ("expect { shown(|", ["cat", "pets"]),
    ("expect { attack(cat, |", [*ATTACKS, "pets"]),
    ("control |", list(CONTROLS)),
    ("expect { shown(cat) |", ["after", "on"]),
    ("expect { shown(cat) on |", ["suite"]),
    ('expect { shown(cat) on suite "|', ["animals.csv"]),
    ('expect { shown(cat) on suite "animals.csv" as |', list(SUITES)),
    ("expect { shown(cat) after |", list(AFTERS)),
    ("expect { shown(cat) after round |", list(ROUNDINGS)),
    ("expect { shown(cat) after merge |", ["param.deg"]),
    ("expect |", ["over", "seed"]),
    ('recipe "r" { |', list(HEADER)),
    ('recipe "r" { supports = |', list(FAMILIES)),
    ('recipe "r" { threat = |', ["open_weights", "hosted"]),
    ("# tracec: allow |", [code for code, rule in rules().items() if rule.severity == "warning"]),
    ("# tracec: |", ["allow"]),
]


@pytest.mark.parametrize(("text", "wanted"), FULL, ids=[text for text, _ in FULL])
def test_completion(here: Editor, text: str, wanted: list[str]) -> None:
    """Every position; after an error elsewhere as well, and with a statement after it."""
    for before, after in (("", ""), ("erase @@ (\n", "\nerase cat\n")):
        labels = here.labels(HEAD + before + text + after)
        assert [one for one in wanted if one not in labels] == [], labels


def test_only_what_fits_is_offered(here: Editor) -> None:
    assert here.labels(HEAD + "# a comm|") == []
    assert "rank" not in here.labels(HEAD + PASS + "rank = 3 |")
    assert "steer" not in here.labels(HEAD + "erase |") and "erase" not in here.labels(HEAD + "erase cat |")
    here.write("self.erase", "")
    assert "self.erase" not in here.labels('import "|', "self.erase")
    assert "tracelang" not in here.labels(HEAD + "define method m { refine { tokens = |")


@pytest.mark.parametrize(
    ("text", "label", "after"),
    [
        ("erase c|", "cat", "erase cat"),
        ('import "std/th|"', "std/things.erase", 'import "std/things.erase"'),
        ('erase "\U0001f600" erase pe|', "pets", 'erase "\U0001f600" erase pets'),
        ('import "st|"', "std/", 'import "std/"'),
        ("import |", "std/", 'import "std/'),
        ("group h = list |", "animals.csv", 'group h = list "animals.csv"'),
        ("# tracec: allow TL5|", "TL501", "# tracec: allow TL501"),
    ],
)
def test_what_is_offered_takes_the_place_of_what_is_there(here: Editor, text: str, label: str, after: str) -> None:
    (one,) = [one for one in here.offered("c.erase", HEAD + text) if one.label == label]
    assert isinstance(one.text_edit, types.TextEdit)
    assert applied(HEAD + text.replace("|", ""), [one.text_edit]) == HEAD + after


def test_of_very_many_those_that_begin_alike_come_first(here: Editor) -> None:
    many = "".join(f'concept n{i:04} {{ names "thing {i}" }}\n' for i in range(1_000))
    labels = here.labels("tracelang 1\n" + many + "erase n09|")
    assert len(labels) == MAX_OFFERED and labels[:100] == [f"n{i:04}" for i in range(900, 1_000)]


@pytest.mark.parametrize(
    ("text", "file", "word"),
    [
        ("erase c|at", "d.erase", "cat"),
        ("erase lib.f|ox", "lib.erase", "fox"),
        ("erase pa|ck", "lib.erase", "pack"),
        ("erase l|ib.fox", "lib.erase", ""),
        ('import "li|b.erase" as k', "lib.erase", ""),
        ("erase cat degree param.d|eg", "d.erase", "deg"),
        ("method mi|ne", "d.erase", "mine"),
        ('group h = list "ani|mals.csv" column "name"', "animals.csv", ""),
        ('group h = list "animals.csv" column "na|me"', "animals.csv", "name"),
        ('group h = list "animals.csv" column "name" except "do|g"', "animals.csv", "dog"),
    ],
)
def test_definition(here: Editor, text: str, file: str, word: str) -> None:
    place = here.definition("d.erase", HEAD + text + "\n")
    assert place is not None and place.uri == here.uri(file)
    holds = HEAD if file == "d.erase" else (here.folder / file).read_text()
    assert stretch(holds, place.range) == word


def test_definition_in_the_library(here: Editor) -> None:
    place = here.definition("d.erase", HEAD + "method u|ce\n")
    assert place is not None and place.uri.endswith("/methods/uce.erase")
    place = here.definition("d.erase", HEAD + "window w = 0%..la|te\n")
    assert place is not None and place.uri.endswith("/std/prelude.erase")
    assert here.definition("d.erase", HEAD + "erase now|here\n") is None


def edits(here: Editor, name: str, text: str, new: str) -> dict[str, list[types.TextEdit]]:
    params = types.RenameParams(new_name=new, **here.place(name, text))
    return dict(here.ask(here.client.text_document_rename_async(params)).changes)


def test_references_and_rename_reach_the_recipes_around(here: Editor) -> None:
    """Unsaved, never opened, and by its alias; what only has the same name stays."""
    user = 'tracelang 1\nimport "zoo/zoo.erase" as z\nconcept bear { names "bear" }\nerase z.bear\nerase bear\n'
    zoo = 'tracelang 1\nconcept bear { names "bear" }\ngroup all = bear, "cat"\n'
    bring = 'from "zoo/zoo.erase" import bear\nerase bear\n'
    here.write("bring.erase", bring)
    here.write("zoo/zoo.erase", "")
    here.type("zoo_user.erase", user)
    marked = zoo.replace("concept be", "concept be|")
    asked = types.ReferenceParams(context=types.ReferenceContext(True), **here.place("zoo/zoo.erase", marked))
    found = here.ask(here.client.text_document_references_async(asked))
    files = ["bring.erase", "bring.erase", "zoo.erase", "zoo.erase", "zoo_user.erase"]
    assert sorted(one.uri.rpartition("/")[2] for one in found) == files
    changes = edits(here, "zoo/zoo.erase", marked, "ursa")
    after = zoo.replace("concept bear", "concept ursa").replace("= bear", "= ursa")
    assert applied(zoo, changes[here.uri("zoo/zoo.erase")]) == after
    assert applied(user, changes[here.uri("zoo_user.erase")]) == user.replace("z.bear", "z.ursa")
    assert applied(bring, changes[here.uri("bring.erase")]) == bring.replace("bear", "ursa")


def test_rename_of_an_alias_and_of_a_text(here: Editor) -> None:
    text = HEAD + "erase lib.fox\n"
    changes = edits(here, "r.erase", text.replace("l|ib", "lib").replace("erase lib", "erase l|ib"), "beasts")
    after = applied(text, changes[here.uri("r.erase")])
    assert after == text.replace("as lib", "as beasts").replace("lib.fox", "beasts.fox")
    quoted = 'tracelang 1\nconcept "猫" { probes "purr" }\nerase "猫"\n'
    changes = edits(here, "q.erase", quoted.replace('erase "', 'erase "|'), 'a "cat"')
    assert applied(quoted, changes[here.uri("q.erase")]) == quoted.replace('"猫"', '"a \\"cat\\""')


@pytest.mark.parametrize(
    ("text", "new", "reason"),
    [
        ("erase c|at", "Cat", "no name"),
        ("erase c|at", "pets", "already"),
        ("method u|ce", "mine_too", "comes with the compiler"),
        ("expect { sho|wn(cat) <= 5% }", "seen", "what a recipe defines"),
        ("erase c|at\nerase @", "dog", "cannot be read"),
    ],
)
def test_rename_refuses(here: Editor, text: str, new: str, reason: str) -> None:
    with pytest.raises(JsonRpcException, match=reason):
        edits(here, "n.erase", HEAD + text + "\n", new)


def test_outline(here: Editor) -> None:
    text = HEAD + "define method two { steer { push { } } refine { } }\nerase cat\nexpect { shown(cat) <= 5% }\n"
    here.type("o.erase", text)
    document = types.TextDocumentIdentifier(here.uri("o.erase"))
    found = here.ask(here.client.text_document_document_symbol_async(types.DocumentSymbolParams(document)))
    names = [one.name for one in found]
    assert names == [
        "lib",
        "lib.erase",
        "deg",
        "cat",
        "pets",
        "soon",
        "deep",
        "plain",
        "mine",
        "two",
        "erase cat",
        "expect",
    ]
    two = found[names.index("two")]
    assert [one.name for one in two.children] == ["steer", "refine"]
    assert [one.name for one in two.children[0].children] == ["push"]
    assert [one.name for one in found[-1].children] == ["shown(cat) <= 5%"]
    for one in found:
        assert (
            stretch(text, one.range).startswith(stretch(text, one.range)[:3])
            and one.range.start <= one.selection_range.start
        )


def test_formatting_is_that_of_fmt_and_refuses_errors(here: Editor) -> None:
    text = 'erase   "猫\U0001f600" ,"b"   # why\nconcept  x{names "x"}\n'
    assert here.formatted("fmt.erase", text) == format_text(Source("fmt.erase", text), Findings()) != text
    broken = text + "erase (\n"
    assert here.formatted("fmt.erase", broken) is None
    assert any("was not formatted" in line for line in here.log)


def test_questions_while_it_looks(here: Editor) -> None:
    """Many at once, each answered."""
    text = HEAD + "erase ca|t\n"
    place = here.place("many.erase", text)

    async def all_of_them() -> list[Any]:
        asked = [here.client.text_document_hover_async(types.HoverParams(**place)) for _ in range(20)]
        return await asyncio.gather(*asked)

    assert all("concept `cat`" in one.contents.value for one in here.ask(all_of_them()))


def test_it_is_a_command_and_needs_no_torch() -> None:
    import subprocess
    import sys

    assert "lsp" in COMMANDS
    code = (
        "import sys, tracelang.lsp.server as s; s.server(); print({'torch', 'numpy', 'diffusers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_the_extra_it_says_what_to_install() -> None:
    import subprocess
    import sys

    code = "import sys; sys.modules['pygls'] = None; from tracelang.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "lsp"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.strip() == "Error: `lsp` needs pygls: pip install 'tracelang[lsp]'"
