"""Words of another script that look, as a whole, like a word in another file of the same recipe."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tracelang.diagnostics import Diagnostic, Source
from tracelang.semantics.rules.lint import Lint

COP = "\u0441\u043e\u0440"
"""Three Cyrillic letters, `cop` to the eye."""


def alike(folder: Path, text: str, **files: str) -> list[Diagnostic]:
    """The findings about look-alikes of a recipe beside some files; `_` in a file's name is its dot."""
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content, "utf-8")
    found = Lint(folder, folder, date(2026, 11, 27)).findings(Source("r.erase", text))
    assert all(one.severity != "error" for one in found), found
    return [one for one in found if one.code == "TL112"]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ('erase list "l.txt" preserve "a cop"', {"l_txt": f"gun\n{COP}\n"}),
        ('erase list "l.csv" column "name" preserve "a cop"', {"l_csv": f"id,name\n1,{COP}\n"}),
        ('erase list "l.txt" preserve list "p.txt"', {"l_txt": f"{COP}\n", "p_txt": "a cop\n"}),
        ('erase list "l.txt" preserve "statue"', {"l_txt": f"cop\n{COP}\n"}),
        ('import "a.erase" as a erase a.x preserve "cop"', {"a_erase": f'concept x {{ names "{COP}" }}'}),
        ('include "a.erase" preserve "cop"', {"a_erase": f'erase "{COP}"'}),
        (f'include "a.erase" preserve "{COP}"', {"a_erase": 'erase "cop"'}),
    ],
)
def test_a_word_like_one_of_another_file_is_told_once(text: str, files: dict[str, str], tmp_path: Path) -> None:
    (one,) = alike(tmp_path, text, **files)
    assert f"`{COP}` is not `cop`" in one.message


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ('erase list "l.txt" preserve "statue"', {"l_txt": f"{COP}\n"}),
        ('erase list "l.txt" preserve "copper"', {"l_txt": f"{COP}\n"}),
        ('import "a.erase" as a erase a.x preserve "statue"', {"a_erase": f'concept x {{ names "{COP}" }}'}),
        (  # the other column is no text of the recipe
            'erase list "l.csv" column "name" preserve "statue"',
            {"l_csv": f"name,translated\n{COP},cop\n"},
        ),
    ],
)
def test_a_word_of_one_script_is_what_it_is_by_itself(text: str, files: dict[str, str], tmp_path: Path) -> None:
    assert not alike(tmp_path, text, **files)


def test_a_comment_allows_it_at_the_list(tmp_path: Path) -> None:
    text = 'erase list "l.txt" # tracec: allow TL112 a Russian word\npreserve "cop"\n'
    assert not alike(tmp_path, text, l_txt=f"{COP}\n")
