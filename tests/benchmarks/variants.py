"""The rows of `trace`'s table: each a method, as statements that stand in a recipe.

`trace`, `trace_robust`, `trace_fast` and `trace_paper` are what is shipped; the others are rivals, or `trace` with one
part switched off.
"""

from __future__ import annotations


def steered(
    name: str,
    on: str = "denoiser",
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


REFINE = "refine on prompt { tokens = tail  ridge = 0.01  %s }"
HELD, BARE = REFINE % "prior = 0.1", REFINE % ""
SHIPPED: dict[str, str] = {
    name: f"method {name} {{}}" for name in ("trace", "trace_robust", "trace_fast", "trace_paper", "uce", "esd", "ant")
}
CLOSED: dict[str, str] = {name: f"method {name} {{}}" for name in ("dp", "speed", "rece", "oce")}
"""Rivals that train nothing."""
WITHOUT: dict[str, str] = {
    "without closed form": steered("wide"),
    "without window": steered("wide", push="whole", hold="", close=HELD),
    "without hold": steered("wide", hold="", close=HELD),
    "without prior": steered("wide", close=BARE),
    "without wide sites": steered("narrow", on="text", close=HELD),
    "closed form first": steered("first", first=HELD),
    "window auto": steered("chosen", push="auto 30%", hold="hold during 0%..auto 30% { weight = 0.5 }", close=HELD),
}
ROWS = SHIPPED | CLOSED | WITHOUT
"""All that the table can be asked for; what `trace_robust` is without its adversary is `trace`."""
