"""The words in which a syntax error is told: tables by statement and token."""

from __future__ import annotations

STATEMENTS = {
    "TRACELANG": "tracelang",
    "RECIPE": "recipe",
    "IMPORT": "import",
    "FROM": "from",
    "INCLUDE": "include",
    "PARAM": "param",
    "TEMPLATES": "templates",
    "CONCEPT": "concept",
    "GROUP": "group",
    "WINDOW": "window",
    "LAYERS": "layers",
    "ERASE": "erase",
    "PRESERVE": "preserve",
    "METHOD": "method",
    "DEFINE": "define",
    "EXPECT": "expect",
}

A_CONCEPT = 'a quoted text like `"cat"`, or the name of a concept or group'
A_RANGE = "a range like `60%..100%`"
A_LAYER_SET = "a layer set like `text in (mid, up)`"

# What belongs after a token, by the statement that it stands in ("" = any).
AFTER: dict[tuple[str, str], str] = {
    ("", "ERASE"): A_CONCEPT,
    ("", "PRESERVE"): A_CONCEPT,
    ("", "TOWARD"): A_CONCEPT,
    ("", "EXCEPT"): A_CONCEPT,
    ("", "AND"): A_CONCEPT,
    ("GROUP", "EQUALS"): A_CONCEPT,
    ("ERASE", "COMMA"): A_CONCEPT,
    ("PRESERVE", "COMMA"): A_CONCEPT,
    ("GROUP", "COMMA"): A_CONCEPT,
    ("ERASE", "DEGREE"): "a degree like `60%`, or `param.name`",
    ("PRESERVE", "WEIGHT"): "a weight like `0.5`, or `param.name`",
    ("CONCEPT", "KIND"): "a kind: object, style, identity, explicit or protected",
    ("CONCEPT", "NAMES"): 'a quoted text, or `list "file"`',
    ("CONCEPT", "PROBES"): 'a quoted text, or `list "file"`',
    ("CONCEPT", "TEMPLATES"): 'a template like `"a photo of {}"`, or the name of some',
    ("TEMPLATES", "EQUALS"): 'a template like `"a photo of {}"`, or the name of some',
    ("WINDOW", "EQUALS"): A_RANGE,
    ("", "DURING"): f"{A_RANGE}, or the name of a window",
    ("PARAM", "IN"): A_RANGE,
    ("PARAM", "EQUALS"): "a number or a percentage",
    ("", "TO"): "the upper end of the range",
    ("LAYERS", "EQUALS"): A_LAYER_SET,
    ("LAYERS", "COMMA"): A_LAYER_SET,
    ("LAYERS", "MINUS"): A_LAYER_SET,
    ("LAYERS", "IN"): "a place, or places in parentheses",
    ("", "ON"): A_LAYER_SET,
    ("METHOD", "EQUALS"): "a value",
    ("RECIPE", "EQUALS"): "a quoted text or a name",
    ("", "RECIPE"): "the recipe's name in quotes",
    ("FROM", "IMPORT"): "a name",
    ("", "IMPORT"): "a file name in quotes",
    ("", "FROM"): "a file name in quotes",
    ("", "INCLUDE"): "a file name in quotes",
    ("", "LIST"): "a file name in quotes",
    ("", "COLUMN"): "the column's name in quotes",
    ("EXPECT", "OVER"): "a number of samples",
    ("EXPECT", "SEED"): "a number",
    ("", "AT_MOST"): "a bound like `2%`",
    ("", "AT_LEAST"): "a bound like `90%`",
}

# What a word or mark was most likely meant for, by the statement that it stands in ("" = any, "-" = none).
MEANT: dict[tuple[str, str], str] = {
    **{("-", word): "`erase` says what has to go" for word in ("delete", "remove", "forget", "unlearn", "drop")},
    **{("-", word): "`preserve` says what has to stay" for word in ("keep", "retain", "protect", "hold")},
    **{("-", word): "`expect { … }` says what must hold" for word in ("assert", "check", "test", "require")},
    **{("-", word): "a number with a name is a `param`" for word in ("set", "let", "var", "const")},
    ("-", "use"): "`method` chooses a method",
    ("", "and"): "`&` means both in one picture, `,` each by itself",
    ("", "or"): "`,` means each by itself",
    ("", "not"): "`a except b` takes b out of a",
    ("ERASE", "to"): "`toward` says what takes its place",
    ("ERASE", "into"): "`toward` says what takes its place",
    ("ERASE", "weight"): "how far it is erased is its `degree`",
    ("ERASE", "preserve"): "`preserve` is a statement: start a line with it",
    ("PRESERVE", "degree"): "how strongly it is held is its `weight`",
    ("PRESERVE", "toward"): "`toward` belongs to `erase`: what is preserved stays as it is",
    ("WINDOW", "to"): "a range is written `60%..100%`",
    ("PARAM", "to"): "a range is written `60%..100%`",
    ("EXPECT", "="): "a bound is written with <= or >=",
    ("EXPECT", ","): "expectations follow one another without a mark",
    ("LAYERS", "&"): "layer sets are joined with `,`, cut with `in` and lessened with `-`",
    ("CONCEPT", "="): "in a concept, texts follow their word without a mark",
    ("CONCEPT", "kind"): "`kind` stands before the `{`",
}

# One example of each statement.
FORMS = {
    "TRACELANG": "tracelang 1",
    "RECIPE": 'recipe "cats" { version = "1.0" }',
    "IMPORT": 'import "std/portraits.erase" as portraits',
    "FROM": 'from "shared.erase" import plain, later',
    "INCLUDE": 'include "company/minimum.erase"',
    "PARAM": "param strength = 100% in 0%..100%",
    "TEMPLATES": 'templates plain = "a photo of {}", "a painting of {}"',
    "CONCEPT": 'concept cat kind object { names "cat", "kitten" }',
    "GROUP": 'group pets = "cat", "dog"',
    "WINDOW": "window later = 25%..100%",
    "LAYERS": "layers deep = text in (mid, up)",
    "ERASE": 'erase "cat" toward "dog" degree 60%',
    "PRESERVE": 'preserve "dog", "horse" weight 0.5',
    "METHOD": "method trace { steer.steps = 800 }",
    "DEFINE": "define method gentle = trace { steer.push.strength = 0.5 }",
    "EXPECT": 'expect over 200 samples seed 0 { shown("cat") <= 2% }',
}

# Statement keywords that also stand inside a statement, after its own.
INNER = {("FROM", "import"), ("DEFINE", "method"), ("CONCEPT", "templates")}

MAX_KEYWORD = 20
"""Longer words are near no keyword."""

TOKENS = {"STRING": "a quoted text", "NAME": "a name", "NUMBER": "a number"}
