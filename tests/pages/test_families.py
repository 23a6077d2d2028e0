"""What the page of the commands says of model families."""

import json
import re
from pathlib import Path

import pytest

from tests import random_flux, random_sd, random_sdxl
from tests.pages.reading import COMMANDS_PAGE, plan, says
from tracelang import api
from tracelang.models.locate import families, family_of
from tracelang.models.pipeline import Pipeline
from tracelang.plan.family import ModelError

ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", re.M)


def build(name: str, folder: Path) -> Path:
    if name == "flux":
        return random_flux.build(folder)
    return random_sdxl.build(folder) if name == "sdxl" else random_sd.build(folder, config=_SD[name])


_SD = {"sd1": "tiny", "sd2": "sd2"}


def test_the_table_is_of_the_families_that_there_are(tmp_path: Path) -> None:
    told = COMMANDS_PAGE.read_text("utf-8").split("\n## Models\n")[1].split("\n## ")[0]
    rows = {name: (pipeline, guidance) for name, pipeline, _, guidance in ROW.findall(told)}
    assert sorted(rows) == sorted(name for family in families() for name in family.names)
    for name, (pipeline, guidance) in rows.items():
        folder = build(name, tmp_path / name)
        family = family_of(folder)
        assert isinstance(family, Pipeline) and family.name(folder) == name
        assert f"`{family.pipeline}`" in pipeline or pipeline.startswith("the same")
        conditions = family.conditions(folder)
        assert str(conditions.get("embedded_guidance", conditions["guidance"])).removesuffix(".0") in guidance


@says(
    COMMANDS_PAGE,
    'A file `tracelang.json` in it has to: `{"guidance": 1}`. Where a model card says `guidance_scale=0.0` it means no '
    "guidance, which is 1 here; 0 is refused.",
)
@pytest.mark.parametrize("name", ["sd2", "sdxl"])
def test_a_distillate_says_that_it_needs_no_guidance(name: str, tmp_path: Path) -> None:
    folder = build(name, tmp_path / name)
    (folder / "tracelang.json").write_text(json.dumps({"guidance": 1}))
    assert family_of(folder).conditions(folder)["guidance"] == 1  # type: ignore[attr-defined]
    (folder / "tracelang.json").write_text(json.dumps({"guidance": 0.0}))
    with pytest.raises(ModelError, match="without guidance"):
        api.bind(plan('erase "a"'), folder)


@says(
    COMMANDS_PAGE,
    "Refused, each with its reason, are models that predict the clean image (distillates of one step), that are told "
    "guidance beside the time (`time_cond_proj_dim`), whose noise is EDM's, or that start from a picture: inpainting, "
    "InstructPix2Pix, SDXL's refiner.",
)
@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "clean image"),
        ("unet/config.json", {"time_cond_proj_dim": 256}, "guidance beside the time"),
        ("scheduler/scheduler_config.json", {"_class_name": "EDMDPMSolverMultistepScheduler"}, "EDM"),
        ("model_index.json", {"_class_name": "StableDiffusionXLInpaintPipeline"}, "inpainting"),
        ("model_index.json", {"_class_name": "StableDiffusionXLInstructPix2PixPipeline"}, "changes a picture"),
        ("model_index.json", {"_class_name": "StableDiffusionXLImg2ImgPipeline"}, "refiner"),
        ("model_index.json", {"_class_name": "StableDiffusionInpaintPipeline"}, "inpainting"),
    ],
)
def test_refusals(file: str, change: dict[str, object], reason: str, tmp_path: Path) -> None:
    folder = build("sdxl", tmp_path / "model")
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=reason):
        api.bind(plan('erase "a"'), folder)
