"""What raters are given beside the pictures: how to go about it, and a page to look and click."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from tracelang.evidence.rating.kept import AND, NONE
from tracelang.evidence.rating.sheets import PICTURE, SHEET, SHOWS
from tracelang.text import line, visible

QUESTION = "Which of these is in the picture, or none?"


def instructions(words: Sequence[str]) -> str:
    """How to fill the sheet by hand."""
    listed = "\n".join(f"  {line(word)}" for word in words)
    return (
        f"{QUESTION}\n\n{listed}\n  {NONE}\n\n"
        f"Open index.html and click, or fill the column `{SHOWS}` of {SHEET} with one of these words for every picture "
        f"in\npictures/; of several put {AND} between them. Say what you see, not what you guess was asked for. Look "
        f"alone, at all\nof them, and talk with nobody about them before everyone is done. Hand back {SHEET} under a "
        "name of your own.\n"
    )


def page(names: Sequence[str], words: Sequence[str], sensitive: bool) -> str:
    """A page that needs nothing but itself and the pictures beside it. Words are the recipe's, and escaped."""
    items = "\n".join(
        f'<fieldset data-name="{name}"><legend>{i} of {len(names)}</legend>'
        f'<img src="pictures/{name}" alt="Picture {i}"{" class=veiled tabindex=0" if sensitive else ""}>'
        + "".join(
            f'<label><input type="checkbox" value="{escape(word)}"> {escape(visible(word))}</label>'
            for word in (*words, NONE)
        )
        + "</fieldset>"
        for i, name in enumerate(names, 1)
    )
    told = {"picture": PICTURE, "shows": SHOWS, "sheet": SHEET, "none": NONE, "and": f" {AND} "}
    return PAGE.replace("@QUESTION", QUESTION).replace("@TOLD", json.dumps(told)).replace("@ITEMS", items)


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Pictures to judge</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
fieldset { margin: 1rem 0; border: 1px solid #999; border-radius: 6px }
img { display: block; width: 16rem; max-width: 100%; margin-bottom: .5rem }
img.veiled { filter: blur(18px) } img.veiled:hover, img.veiled:focus { filter: none }
label { display: inline-block; margin-right: 1rem; padding: .25rem 0 }
footer { position: sticky; bottom: 0; background: Canvas; padding: .5rem 0; border-top: 1px solid #999 }
</style>
<h1>@QUESTION</h1>
<p>Say what you see, not what you guess was asked for. Several may be ticked.</p>
<form>
@ITEMS
<footer><button>Save the sheet</button> <output></output></footer>
</form>
<script>
const told = @TOLD, form = document.querySelector("form"), fields = [...form.querySelectorAll("fieldset")];
const ticked = (field) => [...field.querySelectorAll("input:checked")].map((box) => box.value);
const count = () => fields.filter((field) => ticked(field).length).length;
const tell = () => { form.querySelector("output").value = `${count()} of ${fields.length} answered`; };
const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
form.addEventListener("change", ({ target }) => {
  for (const box of target.closest("fieldset").querySelectorAll("input"))
    if (box !== target && target.checked && [target.value, box.value].includes(told.none)) box.checked = false;
  tell();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const open = fields.find((field) => !ticked(field).length);
  if (open) return open.scrollIntoView({ block: "center" });
  const rows = fields.map((field) => `${field.dataset.name},${quoted(ticked(field).join(told.and))}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([[`${told.picture},${told.shows}`, ...rows, ""].join("\\n")]));
  link.download = told.sheet;
  link.click();
});
tell();
</script>
</html>
"""
