"""diffusers and transformers as they are called here: quiet, and what they raise is said in one line of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from tracelang.plan.family import ModelError


@contextlib.contextmanager
def blamed(folder: Path, what: str) -> Iterator[None]:
    """Whatever a library raises over a component's files is the component's fault: one line, ModelError. They check
    little of what a config says, and stumble over it anywhere. A lack of memory is nobody's fault and passes.
    """
    try:
        yield
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "memory" in str(error):
            raise
        raise ModelError(f"{folder}: cannot be {what} ({line(error)}); check its files") from None


def line(error: BaseException) -> str:
    """An error's words in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' own progress bars and warnings: what matters about loading is checked here."""
    levels = diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled(), diffusers_logging.is_progress_bar_enabled()
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    diffusers_logging.disable_progress_bar()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(levels[0])
        transformers_logging.set_verbosity(levels[1])
        if bars[0]:
            transformers_logging.enable_progress_bar()
        if bars[1]:
            diffusers_logging.enable_progress_bar()
