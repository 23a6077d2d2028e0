"""How much a piece of work asks for, without a clock: what no load on the machine disturbs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

from torch.autograd.profiler import profile


def allocated(work: Callable[[], object]) -> int:
    """Bytes that torch's operators ask for, those of copies inside of them too."""
    with profile(profile_memory=True) as seen:
        work()
    return sum(max(0, event.self_cpu_memory_usage) for event in seen.function_events)


def calls(work: Callable[[], object]) -> int:
    """Python functions that are entered."""
    found = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal found
        found += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found
