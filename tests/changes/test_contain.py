"""Which layer sets, windows and choices of tokens are known to hold others."""

from __future__ import annotations

import pytest

from tracelang.plan import types
from tracelang.plan.compile import compile
from tracelang.plan.contain import layers_hold, window_holds
from tracelang.semantics.passes.steer import Steer
from tracelang.semantics.values import TOKENS


def layers(text: str) -> types.Layers:
    steer = compile(f'erase "a" define method m {{ steer on {text} {{ push {{}} }} }} method m').method.passes[0]
    assert isinstance(steer, Steer)
    return steer.on


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("text", "text in mid"),
        ("key, value", "value, key"),
        ("key in (mid, up)", "key in up"),
        ("text", "text - key"),
        ("(text - key), (text in mid), key", "text"),
        ('"*.to_q", text', "text"),
        ("(key, value) in mid", "(key in mid), (value in mid)"),
        ("text - (key in mid)", "text - key"),
        ("text", "(text in mid) in up"),
        ("denoiser", "text"),
        ("denoiser", "key, value, feedforward in mid"),
        ("denoiser in mid", "(out, text) in mid"),
    ],
)
def test_holds_and_not_the_other_way_round(outer: str, inner: str) -> None:
    assert layers_hold(layers(outer), layers(inner))
    same = outer in ("key, value", "(key, value) in mid", "(text - key), (text in mid), key")
    assert same or not layers_hold(layers(inner), layers(outer))


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("denoiser", "prompt"),
        ("denoiser", "text_in"),
        ("text", "key"),
        ("key", "text"),
        ('"a*"', '"ab*"'),
        ("key", "value"),
    ],
)
def test_not_known_to_hold(outer: str, inner: str) -> None:
    assert not layers_hold(layers(outer), layers(inner))


def test_windows() -> None:
    def window(unit: types.Unit, low: float, high: float) -> types.Window:
        return types.Window(unit=unit, low=low, high=high)

    assert window_holds(None, window("t", 0, 10)) and window_holds(window("progress", 0, 1), None)
    assert window_holds(window("t", 0, 10), window("t", 1, 10))
    assert not window_holds(window("t", 1, 10), window("t", 0, 10))
    assert not window_holds(window("sigma", 0, 10), window("t", 1, 2))
    assert not window_holds(window("t", 0, 10), None)
    assert window_holds(None, types.Auto(0.3)) and window_holds(window("progress", 0, 1), types.Auto(0.3))
    assert not window_holds(types.Auto(0.1), None) and not window_holds(types.Auto(0.1), types.Auto(0.2, "before"))
    assert not window_holds(window("t", 0, 10), types.Auto(0.3)) and not window_holds(
        types.Auto(0.3), window("t", 0, 1)
    )


@pytest.mark.parametrize("choice", ["phrase", "last", "tail", "context", "all"])
def test_choices_of_tokens(choice: types.Tokens) -> None:
    """In "a small cat" `small cat` is the phrase, before an end and padding."""
    rows = {"phrase": {2, 3}, "last": {3}, "tail": {3, 4, 5}, "context": {1, 4, 5}, "all": {1, 2, 3, 4, 5}}
    assert {choice, *TOKENS[choice]} == {other for other in TOKENS if rows[other] <= rows[choice]}
