"""`python -m tests.layouts KIND PATH [--true] [--real] [--seed N] [--dtype F32]`: write one checkpoint.

PATH ending in `.safetensors` is a single file in the original names, else a diffusers folder. A true one is holes
unless `--real` makes every byte a number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.layouts import folder, single
from tests.layouts.checkpoint import checkpoint
from tests.layouts.configs import KINDS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.layouts", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("path", type=Path)
    parser.add_argument("--true", action="store_true", help="the published size")
    parser.add_argument("--real", action="store_true", help="real bytes at the published size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=["F32", "F16", "BF16"])
    given = parser.parse_args()
    keep = None if given.real or not given.true else (lambda component, name: False)
    model = checkpoint(given.kind, "true" if given.true else "tiny", given.dtype, given.seed, keep)
    build = single.build if given.path.suffix == ".safetensors" else folder.build
    build(given.path, model)
    files = [given.path] if given.path.is_file() else [path for path in given.path.rglob("*") if path.is_file()]
    print(f"{given.path}: {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")


main()
