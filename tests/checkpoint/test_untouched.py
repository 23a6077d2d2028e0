"""Of a sharded base only the shard that holds an edited matrix is written; the others are copies or links, as asked."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from random_flux import build
from safetensors.torch import load_file, save_file

from tracelang.checkpoint.output import OutputError
from tracelang.checkpoint.save import save
from tracelang.cli import main
from tracelang.engine.low_rank import LowRank
from tracelang.models import weights
from tracelang_flux import Flux

TOUCHED = "transformer/diffusion_pytorch_model-00001-of-00003.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A FLUX folder whose transformer lies in three shards, the text-reading matrices in the first."""
    folder = build(tmp_path_factory.mktemp("flux") / "dev")
    whole = folder / "transformer/diffusion_pytorch_model.safetensors"
    tensors, table = load_file(whole), {}
    first = [name for name in tensors if not name.startswith(("transformer_blocks", "single_transformer_blocks"))]
    rest = [name for name in tensors if name not in first]
    for i, names in enumerate((first, rest[::2], rest[1::2]), 1):
        file = f"diffusion_pytorch_model-{i:05}-of-00003.safetensors"
        save_file({name: tensors[name] for name in names}, whole.with_name(file), {"format": "pt"})
        table |= dict.fromkeys(names, file)
    whole.with_name(f"{whole.name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))
    whole.unlink()
    return folder


@pytest.fixture(scope="module")
def deltas(base):
    sites = [site for site in Flux().sites(base) if site.reads]
    return {s: LowRank(torch.ones(s.shape[0], 1).double(), torch.ones(1, s.shape[1]).double()) for s in sites}


def inodes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("untouched", ["copy", "link"])
def test_only_the_shard_that_is_edited_differs(untouched, base, deltas, plan, tmp_path):
    save(tmp_path / "out", base, Flux(), deltas, plan, {}, ["folder"], untouched=untouched)
    model = tmp_path / "out/model"
    before, after = inodes(base), inodes(model)
    assert before.keys() == after.keys()
    same = {path for path in before if before[path] == after[path]}
    shards = {path for path in before if path.endswith(".safetensors")}
    assert same == (shards - {TOUCHED} if untouched == "link" else set())
    differ = {path for path in before if (base / path).read_bytes() != (model / path).read_bytes()}
    assert differ == {TOUCHED}
    old, new = load_file(base / TOUCHED), load_file(model / TOUCHED)
    assert {name for name in old if not old[name].equal(new[name])} == {site.tensor for site in deltas}
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())["model"]
    assert manifest["tensors"].keys() == {TOUCHED} and manifest["tensors"][TOUCHED].keys() == old.keys()
    for path, row in manifest["files"].items():
        assert row == {
            which: hashlib.sha256((at / path).read_bytes()).hexdigest()
            for which, at in (("before", base), ("after", model))
        }


@pytest.mark.parametrize("untouched", ["copy", "link"])
def test_every_file_is_hashed_once_at_most(untouched, base, deltas, plan, tmp_path, monkeypatch):
    weights._sha256.cache_clear()
    hashed = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: (hashed.append(file.name), real(file, kind))[1])
    save(tmp_path / "out", base, Flux(), deltas, plan, {}, ["folder"], untouched=untouched)
    names = [str(name) for name in hashed]
    assert len(names) == len(set(names))
    written = [name.rpartition("/model/")[2] for name in names if ".partial" in name and "/model/" in name]
    assert not written  # a copy is hashed while it is made


def test_a_linked_hub_blob_is_the_blob_itself(base, deltas, plan, tmp_path):
    snapshot, blobs = tmp_path / "hub/snapshots/0123", tmp_path / "hub/blobs"
    blobs.mkdir(parents=True)
    for i, path in enumerate(sorted(path for path in base.rglob("*") if path.is_file())):
        (blobs / str(i)).write_bytes(path.read_bytes())
        link = snapshot / path.relative_to(base)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blobs / str(i), link.parent))
    save(tmp_path / "out", snapshot, Flux(), deltas, plan, {}, ["folder"], untouched="link")
    vae = tmp_path / "out/model/vae/diffusion_pytorch_model.safetensors"
    assert not vae.is_symlink() and vae.stat().st_nlink == 2


def test_a_link_that_cannot_be_made_is_one_line_with_a_remedy(base, deltas, plan, tmp_path, monkeypatch):
    def across(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link", source)

    monkeypatch.setattr(os, "link", across)
    with pytest.raises(OutputError, match="--untouched copy") as caught:
        save(tmp_path / "out", base, Flux(), deltas, plan, {}, ["folder"], untouched="link")
    assert "\n" not in str(caught.value) and "cross-device" in str(caught.value) and list(tmp_path.iterdir()) == []
    save(tmp_path / "out", base, Flux(), deltas, plan, {}, ["folder"], untouched="copy")


def test_the_command_links_where_it_is_told_to(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    Path("r.erase").write_text('templates object = "a {}"\nerase "cat" toward "ship"\npreserve "dog"\nmethod uce\n')
    vae = "vae/diffusion_pytorch_model.safetensors"
    for name in ("link", "copy"):
        words = ["apply", "r.erase", "--model", str(base), "--out", name, "--emit", "folder", "--untouched", name]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        assert Path(name, "model", vae).samefile(base / vae) == (name == "link")
