"""`tracec init`."""

from __future__ import annotations

import click

from tracelang.cli import show
from tracelang.cli.writing import is_standard_output, write_text
from tracelang.diagnostics import Findings, Source
from tracelang.importers.names import name_of
from tracelang.plan.compile import compile_with_findings
from tracelang.semantics.tables import KINDS
from tracelang.syntax.format import format_text
from tracelang.syntax.text import normal, quote
from tracelang.text import safe

NEIGHBOURS = {
    "object": ("dog", "horse", "bird", "car", "house", "tree", "person"),
    "style": ("Rembrandt", "Claude Monet", "Katsushika Hokusai", "watercolor", "pencil sketch", "photograph"),
    "identity": ("a man", "a woman", "a child", "an old man", "a crowd"),
    "explicit": ("person", "portrait", "beach", "swimming", "statue"),
    "protected": ("person", "portrait", "house", "tree", "street"),
}
"""What a first recipe preserves: things near an erased one of the kind. The author knows better ones."""

SEEN = """\
# What has to hold afterwards. Samples are for each concept; 200 are enough to show a rate of 2%.
expect over 200 samples seed 0 {{
  shown({concept}) <= 5%
  kept({kept}) >= 90%
}}
"""

UNSEEN = """\
# Training would sample a protected concept, so closed forms alone may work on it.
method uce

# What has to hold afterwards. Nobody draws a protected concept in order to test, so weights and states are measured.
expect {{
  residual({concept}) <= 0.1
  drift({kept}) <= 0.05
}}
"""

RECIPE = """\
# Removes {shown} from a text-to-image model. Next: `tracec explain FILE`, `tracec compile FILE`.
tracelang 1

recipe {title} {{
  version = "0.1.0"
  summary = {summary}
  # owner     = "who answers for this policy"
  # review_by = "2030-01-31"                 # the linter warns after this day
  threat = open_weights  # or hosted: users reach the model through a service only
}}

# What the model must no longer draw. The edit works on the names; the first is the canonical one.
concept {concept} kind {kind} {{
  names {names}
  # probes "a word that means it too"        # held out: only verification sees these
}}

# What must stay as it was, above all what is close to the concept: choose for your model and your users.
group near = {neighbours}

# Without `toward` the concept gives way to what the model draws for no prompt at all.
{erase}
preserve near

{expect}"""


@click.command(help="Write a first recipe with comments to FILE (recipe.erase; - for standard output).")
@click.argument("file", metavar="[FILE]", default="recipe.erase")
@click.option("--concept", metavar="TEXT", default="cat", show_default=True, help="What to erase.")
@click.option("--kind", type=click.Choice(list(KINDS)), default="object", show_default=True, help="What it is.")
@click.option("--toward", metavar="TEXT", help="What shall be drawn instead.")
@click.option("--force", is_flag=True, help="Replace a FILE that exists.")
def command(file: str, concept: str, kind: str, toward: str | None, force: bool) -> None:
    text = _text(concept, "--concept")
    anchor = None if toward is None else _text(toward, "--toward")
    written = recipe(text, kind, anchor)
    plan, findings = compile_with_findings(written, shown="<recipe>")
    if plan is None:
        show(findings)
        raise click.ClickException("these do not make a recipe: nothing is written")
    write_text(file, written, force=force)
    if not is_standard_output(file):
        click.echo(safe(f"{file}: erases {quote(text)}; its comments say what to adapt"))


def recipe(concept: str, kind: str, toward: str | None) -> str:
    """The text of a first recipe."""
    words = set(name_of(f"{concept} {toward or ''}").split("_"))
    neighbours = [one for one in NEIGHBOURS[kind] if not words & set(name_of(one).split("_")) - {"a", "an", "the"}]
    name = name_of(concept, {"near": 1})
    text = RECIPE.format(
        shown=quote(concept).replace("tracec:", "tracec :"),
        title=quote(name.replace("_", "-")),
        summary=quote(f"Removes {concept}."),
        concept=name,
        kind=kind,
        names=quote(concept),
        neighbours=", ".join(map(quote, neighbours)),
        erase=f"erase {name}" + (f" toward {quote(toward)}" if toward else ""),
        expect=(UNSEEN if kind == "protected" else SEEN).format(concept=name, kept="near"),
    )
    return format_text(Source("", text), Findings()) or text


def _text(given: str, option: str) -> str:
    text = normal(given.strip())
    if not text or len(text) > 500 or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise click.BadParameter("a text of 1 to 500 characters is wanted", param_hint=option)
    return text
