"""The rows of `trace`'s table: each a method, as statements that stand in a recipe.

`trace`, `trace_robust`, `trace_fast` and `trace_paper` are what is shipped; the others are rivals, or `trace` with one
part switched off.
"""

from __future__ import annotations

WIDE = "query, key, value, out, feedforward"


def steered(
    name: str,
    on: str = WIDE,
    push: str = "late",
    hold: str = "hold during early { weight = 0.5 }",
    more: str = "",
    first: str = "",
    close: str = "",
) -> str:
    """A method with one `steer`, what comes `first` and what comes after it."""
    settings = f"rank = 8  steps = 400  rate = 1e-3  loss = velocity  {more}"
    terms = f"push during {push} {{ strength = 0.25 }}  {hold}  blank {{ weight = 0.5 }}  keep {{ weight = 3.0 }}"
    return f"define method {name} {{ {first} steer on {on} {{ {settings} {terms} }} {close} }}\nmethod {name} {{}}"


REFINE = "refine on prompt { tokens = tail  ridge = 0.01 }"
PRIOR = "preserve prior weight 0.1\n"
ROWS: dict[str, str] = {
    "trace": "method trace {}",
    "uce": "method uce {}",
    "esd": "method esd {}",
    "ant": "method ant {}",
    "closed form": f"define method closed {{ {REFINE} }}\nmethod closed {{}}",
    "closed form, prior": f"{PRIOR}define method closed {{ {REFINE} }}\nmethod closed {{}}",
    "wide steer": steered("wide"),
    "wide steer, no window": steered("wide", push="whole", hold=""),
    "wide steer, closed form": steered("wide", close=REFINE),
    "wide steer, closed form, prior": PRIOR + steered("wide", close=REFINE),
    "closed form, wide steer": steered("wide", first=REFINE),
}
SHIPPED = ("trace", "uce", "esd", "ant")
