"""What a write would fail at is said before there is any work; and what a killed run left behind goes."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import random_sd
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import tracelang.api
from tracelang.checkpoint import folder, forms, output, patch, room
from tracelang.checkpoint.lora import Size
from tracelang.checkpoint.output import OutputError
from tracelang.cli import main
from tracelang.models import expected
from tracelang.plan.family import ModelError

RECIPE = 'templates object = "a photo of a {}"\nerase "cat" toward "ship"\npreserve "dog"\nmethod uce\n'
PARTS = {"sd": ("unet", "vae", "text_encoder"), "flux": ("transformer", "vae", "text_encoder", "text_encoder_2")}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path_factory.getbasetemp() / "states"))
    Path("r.erase").write_text(RECIPE)


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*words[:1], "r.erase", "--model", "base", "--device", "cpu", *words[1:]])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


def weights(component: Path) -> Path:
    (path,) = component.glob("*.safetensors")
    return path


def refused(*words: str) -> None:
    for command in (["plan"], ["apply", "--out", "out"]):
        code, message = run(*command)
        assert code == 1 and all(word in message for word in words), message
        assert not Path("out").exists()


def test_whole_folders_hold_what_their_configs_ask_for(base):
    expected.refuse(base)
    assert run("plan")[0] == 0 and run("apply", "--out", "out")[0] == 0


def test_any_tensor_that_a_config_asks_for_may_not_be_missing(kind, base):
    for name in PARTS[kind]:
        path = weights(base / name)
        tensors, data = load_file(path), path.read_bytes()
        last = sorted(tensors)[-1]
        save_file({key: value for key, value in tensors.items() if key != last}, path)
        if name == PARTS[kind][0]:
            refused(str(base.name), name, last, "download them again")
        with pytest.raises(ModelError, match="lack"):
            expected.refuse(base)
        path.write_bytes(data)


def test_nor_be_of_another_shape_and_the_text_encoders_message_says_which(kind, base):
    for name in PARTS[kind]:
        path = weights(base / name)
        tensors, data = load_file(path), path.read_bytes()
        last = sorted(tensors)[-1]
        save_file(tensors | {last: torch.zeros(3, 5, 7)}, path)
        with pytest.raises(ModelError, match=r"\[3, 5, 7\].*do not belong together"):
            expected.refuse(base)
        if name.startswith("text_encoder"):
            refused(last, "[3, 5, 7]", "do not belong together")
        path.write_bytes(data)


def test_older_names_of_attention_and_of_clip_count(tmp_path):
    """As diffusers wrote them before 0.15, and transformers before 5."""
    base = random_sd.build(tmp_path / "old")
    path = base / "vae/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mid_block_add_attention": True}))
    asked = expected.table("diffusers", "AutoencoderKL", path)
    at = "decoder.mid_block.attentions.0"
    assert f"{at}.proj_attn.bias" in asked[f"{at}.to_out.0.bias"][1]
    assert f"{at}.query.weight" in asked[f"{at}.to_q.weight"][1]
    clip = expected.table("transformers", "CLIPTextModel", base / "text_encoder/config.json")
    name = "embeddings.token_embedding.weight"
    assert f"text_model.{name}" in clip[name][1]


def test_what_a_class_asks_for_is_kept_and_a_damaged_memory_is_made_anew(kind, base, monkeypatch, tmp_path):
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "kept"))
    expected.refuse(base)
    made = sorted((tmp_path / "kept/expected").iterdir())
    monkeypatch.setattr(expected, "_made", lambda *told: pytest.fail("made again"))
    expected.refuse(base)
    monkeypatch.undo()
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "kept"))
    for path in made:
        path.write_text("{")
    expected.refuse(base)


def test_plan_refuses_a_link_out_of_the_folder_as_apply_does(kind, base, tmp_path):
    path = weights(base / PARTS[kind][0])
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    refused(path.name, "no regular file inside the model")


def test_a_place_without_room_is_refused_before_work_with_both_figures(base, monkeypatch):
    real = os.statvfs
    size = sum(path.stat().st_size for path in folder.foreseen(base, (), "copy").copies)

    def full(free):
        told = list(real("."))
        told[0], told[1], told[2], told[4] = 1, 1, 10**12, free
        return os.statvfs_result(told)

    monkeypatch.setattr(patch, "_shared", lambda old, new: False)

    def asked(free, *words):
        monkeypatch.setattr(os, "statvfs", lambda path: full(free))
        code, message = run("apply", "--out", "out", *words)
        assert code == (0 if Path("out").exists() else 1), message
        assert not code or "free; make room there" in message
        shutil.rmtree("out", ignore_errors=True)
        return message if code else ""

    for free, fits in ((0, False), (size, False), (size + 9 * room.LEAST, True)):
        message = asked(free)
        assert bool(message) != fits and (fits or ("MiB of copies" in message and "MiB of new files" in message))
    monkeypatch.setattr(patch, "_shared", lambda old, new: True)
    room.refuse(Path("out"), [room.Needed((weights(base / "vae"),))])  # copies take no room there


@pytest.mark.parametrize("form", ["lora", "lora-kohya", "delta", "map"])
def test_what_a_form_takes_at_most_is_asked_for_before_work_and_is_no_less_than_it_writes(base, monkeypatch, form):
    real, asked = os.statvfs, []
    refuse = room.refuse
    monkeypatch.setattr(room, "refuse", lambda out, needed: refuse(out, asked.extend(needed) or needed))
    assert run("apply", "--out", "out", "--emit", form, "--lora-error", "0%")[0] == 0
    written = sum(path.stat().st_size for path in Path("out").glob("*.safetensors"))
    assert 0 < written <= asked[0].own + room.LEAST and asked[0].own < 20 * written
    told = list(real("."))
    told[0], told[1], told[4] = 1, 1, room.LEAST
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(told))
    monkeypatch.setattr("tracelang.api.apply", lambda *told, **more: pytest.fail("computed"))
    code, message = run("apply", "--out", "other", "--emit", form)
    assert code == 1 and "MiB of new files" in message and not Path("other").exists()


def test_a_rank_that_is_asked_for_bounds_a_lora(base):
    bound = tracelang.api.bind(tracelang.compile(Path("r.erase")), "base")
    sizes = [
        forms.form("lora").foreseen(forms.Asked(base, bound.plan, bound.sites, "copy", Size(rank=rank))).own
        for rank in (1, 2, None)
    ]
    assert 2 * sizes[0] == sizes[1] < sizes[2]


def test_hard_links_that_cannot_be_are_refused_before_work(base, monkeypatch):
    def apart(*told, **more):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    seen = []
    monkeypatch.setattr("tracelang.api.apply", lambda *told, **more: seen.append(told))
    monkeypatch.setattr(os, "link", apart)
    code, message = run("apply", "--out", "out", "--untouched", "link")
    assert code == 1 and "--untouched copy" in message and not seen
    assert sorted(path.name for path in Path().iterdir()) == ["base", "r.erase"]


def test_plan_refuses_a_place_as_apply_does(kind, base, monkeypatch):
    def same(*words):
        told = [run(command, *words) for command in ("plan", "apply")]
        assert told[0] == told[1] and told[0][0] == 1, told
        return told[0][1]

    assert "cannot be written" in same("--out", "/proc/out")
    assert "lies inside" in same("--out", "base/out")
    assert "single file" in same("--out", "out", "--emit", "single-file")
    with monkeypatch.context() as full:
        told = list(os.statvfs("."))
        told[0], told[1], told[4] = 1, 1, room.LEAST
        full.setattr(os, "statvfs", lambda path: os.statvfs_result(told))
        assert "MiB of new files" in same("--out", "out", "--emit", "delta")

    def apart(*told, **more):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", apart)
    assert "--untouched copy" in same("--out", "out", "--untouched", "link")
    assert run("plan", "--out", "out")[0] == 0 and not Path("out").exists()


def holder(place: Path) -> subprocess.Popen:
    """Another process that builds an output in `place`, and says so."""
    code = (
        "import sys, time; from pathlib import Path; from tracelang.checkpoint.output import staged\n"
        "with staged(Path(sys.argv[1])) as draft:\n"
        "    (draft / 'half').write_text('x'); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


def test_what_killed_runs_left_goes_whatever_they_wrote_and_the_living_keep_theirs(tmp_path):
    dead, alive = holder(tmp_path / "one"), holder(tmp_path / "two")
    try:
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        foreign = tmp_path / ".theirs.partial-abcdefgh"
        foreign.mkdir()
        (left,) = tmp_path.glob(".one.partial-*")
        assert output.sweep(tmp_path / "three") == [left]
        assert not left.exists() and foreign.is_dir() and len(list(tmp_path.glob(".two.partial-*"))) == 1
    finally:
        alive.kill()
        alive.wait()
    with output.staged(tmp_path / "three"):
        pass
    assert not list(tmp_path.glob(".two.partial-*")) and foreign.is_dir()
    assert sorted(path.name for path in (tmp_path / "three").iterdir()) == []


@pytest.mark.parametrize("kind", ["sd"], indirect=True)
def test_it_is_said_that_a_leftover_goes(kind, base, tmp_path):
    process = holder(tmp_path / "one")
    process.kill()
    process.wait()
    code, message = run("apply", "--out", "out")
    assert code == 0 and ".one.partial-" in message and "killed run" in message


def test_a_name_that_no_output_can_have_is_still_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        output.refuse(tmp_path / "file/out", False)
    assert output.sweep(tmp_path / "missing/out") == []
