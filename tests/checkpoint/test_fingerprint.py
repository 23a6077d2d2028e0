"""The same model is the same fingerprint, and another is another: each change by itself, over all files."""

import json
import shutil
from pathlib import Path

import pytest
import random_flux
import random_sd
from safetensors.torch import load_file, save_file

from tracelang.checkpoint.save import save
from tracelang.evidence.artifact import EvidenceError, find_base, read
from tracelang.models import header, weights
from tracelang.models.locate import PATTERNS

BUILD = {"sd": random_sd.build, "flux": random_flux.build}
DENOISER = {"sd": "unet", "flux": "transformer"}


@pytest.fixture(scope="module", params=["sd", "flux"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def base(kind, tmp_path_factory):
    return BUILD[kind](tmp_path_factory.mktemp("models") / kind)


@pytest.fixture
def folder(base, tmp_path):
    return Path(shutil.copytree(base, tmp_path / "other name"))


def edited(path: Path, change) -> None:
    table = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(change(table)))


def each_json(folder: Path, change) -> None:
    for path in folder.rglob("*.json"):
        path.write_text(change(json.loads(path.read_text())))


def shuffled(value):
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return value


def renamed(folder: Path, variant: str) -> None:
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_name(f"{path.stem}.{variant}.safetensors"))


def sharded(folder: Path, names: tuple[str, str]) -> None:
    """Every model in two shards under these names, by an index that stays the same but for the names."""
    for path in list(folder.rglob("*.safetensors")):
        tensors = sorted(load_file(path).items())
        parts = dict(zip(names, (dict(tensors[::2]), dict(tensors[1::2])), strict=True))
        for name, part in parts.items():
            save_file(part, path.with_name(name), {"format": "pt"})
        table = {tensor: name for name, part in parts.items() for tensor in part}
        index = {"metadata": {}, "weight_map": table}
        path.with_name(f"{path.name}.index.json").write_text(json.dumps(index))
        path.unlink()


SAME = {
    "copied": lambda folder: None,
    "laid out otherwise": lambda folder: each_json(folder, lambda told: json.dumps(told, indent=7) + "\n\n"),
    "in another order": lambda folder: each_json(folder, lambda told: json.dumps(shuffled(told))),
    "escaped": lambda folder: each_json(folder, lambda told: json.dumps(told, ensure_ascii=True)),
    "by another version": lambda folder: each_json(
        folder, lambda told: json.dumps(told | {"_diffusers_version": "0.99", "transformers_version": "9",
                                                "_name_or_path": "/home/somebody", "torch_dtype": "float16"})),
    "as a variant": lambda folder: renamed(folder, "fp16"),
    "with a card": lambda folder: (folder / "README.md").write_text("x"),
    "with notes": lambda folder: (folder / "notes.json").write_text("{}"),
    "with what is no component": lambda folder: shutil.copytree(folder / "vae", folder / "spare"),
    "with hidden files": lambda folder: (folder / "vae/.cache.json").write_text("{}"),
    "with settings that say nothing": lambda folder: (folder / "tracelang.json").write_text("{}\n"),
    "with a component that is none": lambda folder: edited(
        folder / "model_index.json", lambda table: table | {"image_encoder": [None, None]}),
}  # fmt: skip


@pytest.mark.parametrize("change", SAME)
def test_the_same_model_is_the_same_fingerprint(change, base, folder):
    SAME[change](folder)
    assert weights.fingerprint(folder) == weights.fingerprint(base)
    assert weights.compare(folder, weights.fingerprint(base)) == "same"


def test_shards_are_the_same_model_whatever_they_are_called(base, folder, tmp_path):
    other = Path(shutil.copytree(base, tmp_path / "third"))
    sharded(folder, ("a.safetensors", "b.safetensors"))
    sharded(other, ("z-00001-of-00002.safetensors", "y.safetensors"))
    assert weights.fingerprint(folder) == weights.fingerprint(other)


def other_value(value):
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case list():
            return [*value, value[0] if value else 1]
        case dict():
            return value | {"more": 1}
    return 1


def test_every_setting_of_every_file_makes_another_model(base, folder):
    """All keys of all JSON files, one at a time; but for those that say who wrote the file."""
    whole, seen = weights.fingerprint(base), set()
    for path in sorted(folder.rglob("*.json")):
        text = path.read_text()
        for key, value in json.loads(text).items():
            changed = json.loads(text) | {key: other_value(value)}
            path.write_text(json.dumps(changed))
            found = weights.fingerprint(folder)
            assert (found == whole) == (key in weights.SILENT), f"{path.relative_to(folder)}: {key}"
            seen.add(found)
        path.write_text(text)
    assert weights.fingerprint(folder) == whole and len(seen) > 50


OTHER = {
    **{
        f"{name} {value}": ("model_index.json", lambda table, name=name, value=value: table | {name: value})
        for name in ("force_zeros_for_empty_prompt", "is_distilled")
        for value in (True, False)
    },
    "a nested setting": (
        "tokenizer/tokenizer.json",
        lambda table: table | {"model": table["model"] | {"unk_token": "other"}},
    ),
    "guidance": ("tracelang.json", lambda table: {"guidance": 3}),
}


@pytest.mark.parametrize("change", OTHER)
def test_what_changes_pictures_makes_another_model(change, base, folder):
    path, apply = OTHER[change]
    edited(folder / path, apply)
    assert weights.fingerprint(folder) != weights.fingerprint(base)
    assert weights.compare(folder, weights.fingerprint(base)) == "other"


@pytest.mark.parametrize(
    "name",
    [
        "chat_template.jinja",
        "spiece.model",
        "vocab.txt",
        "merges.txt",
        "qwen.tiktoken",
        "added_tokens.json",
        "additional_chat_templates/default.jinja",
    ],
)
def test_every_file_of_a_tokenizer_is_a_part_of_the_model(name, base, folder):
    found = [weights.fingerprint(base)]
    for text in ('["one"]', '["two"]'):
        (folder / "tokenizer" / name).parent.mkdir(exist_ok=True)
        (folder / "tokenizer" / name).write_text(text)
        found.append(weights.fingerprint(folder))
    assert len(set(found)) == 3


def test_a_chat_template_is_fetched_with_a_hub_model():
    from huggingface_hub.utils import filter_repo_objects

    wanted = ["tokenizer/chat_template.jinja", "unet/config.json"]
    assert list(filter_repo_objects([*wanted, "unet/x.bin"], allow_patterns=list(PATTERNS))) == wanted


def test_every_byte_of_every_component_counts(base, folder):
    for path in sorted(folder.rglob("*.safetensors")):
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert weights.fingerprint(folder) != weights.fingerprint(base)
        path.write_bytes(data)


def old_folder(folder: Path) -> Path:
    """A folder of which every byte is known, and the older fingerprint with it."""
    (folder / "unet").mkdir(parents=True)
    (folder / "scheduler").mkdir()
    (folder / "model_index.json").write_text('{"unet": ["diffusers", "U"], "switch": true}')
    (folder / "unet/config.json").write_text('{"a": 1}')
    (folder / "scheduler/scheduler_config.json").write_text("{}")
    header.write(folder / "unet/diffusion_pytorch_model.safetensors", {"w": ("F32", (1,))}, [b"\0\0\x80?"])
    return folder


def test_an_older_fingerprint_is_known_for_what_it_is(tmp_path):
    folder = old_folder(tmp_path / "old")
    old = "e24b3c185885d874afc2c227a2a521a2c982d83f50e3265a13a8069fcd2a49c9"
    assert weights.former(folder) == old and weights.outdated(old)
    assert weights.compare(folder, old) == "older"
    edited(folder / "model_index.json", lambda table: table | {"switch": False})
    assert weights.compare(folder, old) == "older"  # which it did not see: the reason for the new one
    (folder / "unet/config.json").write_text('{"a": 2}')
    assert weights.compare(folder, old) == "other"
    assert weights.compare(folder, "3:" + old) == "unknown" and not weights.outdated(weights.fingerprint(folder))


def test_a_lock_of_before_is_no_lock_of_another_model(tiny, family, plan, tmp_path):
    out = tmp_path / "out"
    save(out, tiny, family, {}, plan, {})
    assert find_base(read(out, whole=False), str(tiny)) == tiny
    lock = json.loads((out / "lock.json").read_text())
    words = {
        weights.former(tiny): "older fingerprint.*pply the recipe again",
        "0" * 64: "is not the model",
        "2:" + "0" * 64: "is not the model",
        "9:x": "update tracelang",
    }
    for stated, word in words.items():
        lock["model"]["fingerprint"] = stated
        (out / "lock.json").write_text(json.dumps(lock))
        with pytest.raises(EvidenceError, match=word) as caught:
            find_base(read(out, whole=False), str(tiny))
        assert "\n" not in str(caught.value)


def test_the_lock_says_which_setting_is_another(tiny, family, plan, tmp_path):
    save(tmp_path / "out", tiny, family, {}, plan, {})
    told = json.loads((tmp_path / "out/lock.json").read_text())["model"]["settings"]
    assert told == weights.settings(tiny) and {"model_index.json", "unet/config.json"} <= told.keys()
