"""What pictures were drawn on: processor, threads, and every installed distribution with its version.

The same weights, prompts and seeds give the same picture on the same of these; on another machine the last bits of a
number may differ, and with them now and then a verdict on one picture.
"""

from __future__ import annotations

import platform
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """JSON values. `capability` is the widest kernels that torch takes, `flags` what the processor says it can."""
    model, flags = _processor()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": model,
        "flags": flags,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda or "",
        "packages": _packages(),
    }


def differing(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """A line for each thing in which two machines differ."""
    lines = []
    for name in sorted({*there, *here} - {"flags", "packages"}):
        if there.get(name) != here.get(name):
            lines.append(f"{name}: {_told(there.get(name))} there, {_told(here.get(name))} here")
    gone, new = (sorted(set(a.get("flags", ())) - set(b.get("flags", ()))) for a, b in ((there, here), (here, there)))
    for what, flags in (("there alone", gone), ("here alone", new)):
        if flags:
            lines.append(f"processor flags {what}: {' '.join(flags)}")
    old, now = there.get("packages", {}), here.get("packages", {})
    for name in sorted({*old, *now}):
        if old.get(name) != now.get(name):
            lines.append(f"package {name}: {old.get(name, 'none')} there, {now.get(name, 'none')} here")
    return lines


def _told(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value or "none")


def _processor() -> tuple[str, list[str]]:
    try:
        lines = CPUINFO.read_text("utf-8", "replace").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine(), []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    model = told.get("model name") or platform.processor() or platform.machine()
    return model, sorted(told.get("flags", told.get("Features", "")).split())


def _packages() -> dict[str, str]:
    found = {
        one.metadata["Name"].lower().replace("_", "-"): one.version for one in distributions() if one.metadata["Name"]
    }
    return dict(sorted(found.items()))
