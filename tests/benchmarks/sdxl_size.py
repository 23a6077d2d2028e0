"""An edit at SDXL's true size: `python -m tests.benchmarks.sdxl_size [--keep FOLDER] [--no-sample]`.

Writes SDXL base in fp16 (exact names and shapes, every byte a random number, 6.9 GB) as a folder, and in processes of
their own: `tracec plan`, which encodes the prompts and keeps their states; `tracec apply` of `uce` from these states;
two steps of plain diffusers on the result in bfloat16 at 256 pixels. Then every tensor is compared with the base's.

Fails where apply takes more than 1.5 GB, where anything else changed than the 140 keys and values and the columns of
the added embedding that multiply the pooled state, or where the unconditional input is not zeros. Needs 14 GB of disk,
and 13 GB of memory to sample.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from tests.benchmarks.flux_size import IMPORTS, RECIPE, measured, place

BAR = 1.5e9
DRAW = """
import sys
import torch
from diffusers import StableDiffusionXLPipeline

pipe = StableDiffusionXLPipeline.from_pretrained(sys.argv[1], dtype=torch.bfloat16)
pipe.set_progress_bar_config(disable=True)
_, negative, _, pooled = pipe.encode_prompt("a cat")
assert not negative.any() and not pooled.any(), "the unconditional input is not zeros"
drawn = pipe("a cat", num_inference_steps=2, height=256, width=256, output_type="np",
             generator=torch.Generator().manual_seed(0)).images
assert drawn.shape == (1, 256, 256, 3)
assert torch.from_numpy(drawn).isfinite().all(), "NaN in the picture"
"""


def run(at: Path, sample: bool) -> bool:
    base, recipe, cache, out = (at / name for name in ("sdxl", "r.erase", "cache", "out"))
    recipe.write_text(RECIPE)
    begin = time.perf_counter()
    if not base.exists():
        measured("-m", "tests.layouts", "sdxl", str(base), "--true", "--real", cache=cache)
        os.sync()
    size = sum(path.stat().st_size for path in base.rglob("*.safetensors"))
    print(f"{size / 1e9:.1f} GB of weights, all real bytes (written in {time.perf_counter() - begin:.0f} s)")

    tracec = ("-c", "from tracelang.cli import main; main()")
    told = ("--model", str(base), "--device", "cpu")
    seconds, used, peak = measured(*tracec, "plan", str(recipe), *told, cache=cache)
    print(f"plan, which encodes the prompts {seconds:8.1f} s ({used:.1f}), peak {peak / 1e9:.2f} GB")
    *_, bare = measured("-c", IMPORTS, cache=cache)
    seconds, used, peak = measured(
        *tracec, "apply", str(recipe), *told, "--out", str(out), "--emit", "folder", "--force", cache=cache
    )
    print(
        f"apply from cached states        {seconds:8.1f} s ({used:.1f}), peak {peak / 1e9:.2f} GB, "
        f"{bare / 1e9:.2f} of it the packages"
    )
    wrong = compared(base, out / "model")
    if sample:
        seconds, used, held = measured("-c", DRAW, str(out / "model"), cache=cache)
        print(
            f"plain diffusers, two steps      {seconds:8.1f} s ({used:.1f}), peak {held / 1e9:.2f} GB, "
            "unconditional input zeros"
        )
    if peak >= BAR:
        wrong.append(f"apply takes {peak / 1e9:.2f} GB")
    print("met" if not wrong else f"MISSED: {'; '.join(wrong)}")
    return not wrong


def compared(base: Path, made: Path) -> list[str]:
    """What differs that should not, in words; prints what does. Imports torch, so after all measuring of processes."""
    from tests.layouts.checkpoint import checkpoint
    from tests.layouts.judge import changed, columns_kept, intended, tensors

    model = checkpoint("sdxl", "true")
    differ, may = changed(base, made), intended(base, model)
    wrong = [] if differ == may else [f"differs: {sorted(differ ^ may)[:3]}"]
    pooled = {name for name in differ if "add_embedding" in name}
    if not columns_kept(base, made, model):
        wrong.append("the added embedding changed in other columns than the pooled state's")
    kv = len(differ - pooled)
    count = len(tensors(base))
    print(f"changed: {kv} keys and values, {len(pooled)} added embedding in its pooled columns alone, of {count}")
    return wrong if kv == 140 and len(pooled) == 1 else [*wrong, f"{kv} keys and values, {len(pooled)} pooled"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there, and leave everything")
    parser.add_argument("--no-sample", action="store_true", help="leave plain diffusers out")
    options = parser.parse_args()
    with place(options.keep, "sdxl-size") as at:
        return int(not run(at, not options.no_sample))


if __name__ == "__main__":
    sys.exit(main())
