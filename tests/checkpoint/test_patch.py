"""Patching touches the bytes it is asked to touch, and nothing else, whatever happens."""

import hashlib
import os
import stat

import pytest
import torch
from safetensors.torch import load_file, save_file

from tracelang.checkpoint.merge import change, merged
from tracelang.checkpoint.patch import clone, digests, patch
from tracelang.engine.low_rank import LowRank, compress
from tracelang.models import header
from tracelang.plan.family import ModelError, Site


@pytest.fixture
def base(tmp_path):
    halves = {f"t{i}": torch.randn(4, 6).half() for i in range(5)}
    others = {"n": torch.randn(3), "i": torch.arange(24).view(4, 6)}
    save_file(halves | others, tmp_path / "base.safetensors", {"k": "v"})
    return tmp_path / "base.safetensors"


def delta(out=4, rank=2, inputs=6):
    return LowRank(torch.randn(out, rank, dtype=torch.float64), torch.randn(rank, inputs, dtype=torch.float64))


def told(name, edit=None):
    edit = delta() if edit is None else edit
    site = Site("unet", name, (edit.up.shape[0], edit.down.shape[1]), "key", None, "tokens", True)
    return change(site, {site: edit})


def test_only_the_edited_bytes_differ(base, tmp_path):
    edit, old = delta(), load_file(base)
    patch(base, tmp_path / "out.safetensors", {"t2": told("t2", edit)})
    new, entry = load_file(tmp_path / "out.safetensors"), header.read(base).tensors["t2"]
    assert new["t2"].equal((old["t2"].double() + edit.up @ edit.down).half())
    assert not new["t2"].equal(old["t2"])
    before, after = base.read_bytes(), (tmp_path / "out.safetensors").read_bytes()
    assert before[: entry.begin] == after[: entry.begin] and before[entry.end :] == after[entry.end :]
    found = digests(base, tmp_path / "out.safetensors")
    assert {name for name, (before, after) in found.items() if before != after} == {"t2"} and found.keys() == old.keys()
    for name, pair in found.items():
        assert pair == tuple(hashlib.sha256(held[name].numpy().tobytes()).hexdigest() for held in (old, new))


def test_the_mode_is_an_ordinary_files_and_the_base_stays(base, tmp_path):
    assert stat.S_IMODE(base.stat().st_mode) == 0o600  # safetensors 0.8 writes so
    old, mask = base.read_bytes(), os.umask(0o027)
    try:
        patch(base, tmp_path / "out", {"t0": told("t0")})
        clone(base, tmp_path / "copy")
    finally:
        os.umask(mask)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out", "copy")} == {0o640}
    assert base.read_bytes() == old == (tmp_path / "copy").read_bytes()


def test_a_link_is_followed_and_never_written_through(base, tmp_path):
    (tmp_path / "link").symlink_to(base)
    old = base.read_bytes()
    patch(tmp_path / "link", tmp_path / "out", {"t1": told("t1")})
    assert base.read_bytes() == old and not (tmp_path / "out").is_symlink()
    assert (tmp_path / "out").stat().st_ino != base.stat().st_ino


@pytest.mark.parametrize("without", ["copy_file_range", "nothing"])
def test_a_clone_is_the_same_bytes_however_it_is_made(without, tmp_path, monkeypatch):
    data = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(data)
    if without == "copy_file_range":
        monkeypatch.delattr(os, without)
    clone(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == data
    with pytest.raises(FileExistsError):
        clone(tmp_path / "a", tmp_path / "b")


def test_a_copy_that_stops_half_way_is_finished_plainly(tmp_path, monkeypatch):
    data, real, calls = os.urandom(1 << 20), os.copy_file_range, []

    def failing(source, target, count, *offsets):
        calls.append(count)
        if len(calls) > 1:
            raise OSError("no more")
        return real(source, target, 1000, *offsets)

    monkeypatch.setattr(os, "copy_file_range", failing)
    (tmp_path / "a").write_bytes(data)
    clone(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == data and calls == [1 << 20, (1 << 20) - 1000]


def test_where_the_system_copies_nothing_itself_it_is_copied_plainly(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "copy_file_range")
    data = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(data)
    assert clone(tmp_path / "a", tmp_path / "b") == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "b").read_bytes() == data


def meanwhile(monkeypatch, act):
    """Have somebody `act` between the first look into the source and the kernel's own, as it copies."""
    real, left = os.copy_file_range, [act]

    def copied(*told):
        while left:
            left.pop()()
        return real(*told)

    monkeypatch.setattr("tracelang.checkpoint.patch._shared", lambda old, new: False)  # some disks share blocks instead
    monkeypatch.setattr(os, "copy_file_range", copied, raising=False)


def in_place(file, data):
    with file.open("r+b") as opened:
        opened.seek(-len(data), os.SEEK_END)
        opened.write(data)


def by_a_rename(file, data):
    (file.parent / "other").write_bytes(file.read_bytes()[: -len(data)] + data)
    (file.parent / "other").rename(file)


ACTS = {
    "written": in_place,
    "replaced": by_a_rename,
    "cut short": lambda file, data: os.truncate(file, file.stat().st_size - len(data)),
    "longer": lambda file, data: file.write_bytes(file.read_bytes() + data),
    "removed": lambda file, data: file.unlink(),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("make", [lambda base, out: patch(base, out, {"t1": told("t1")}), clone])
def test_a_source_that_somebody_writes_to_is_refused_at_once(make, act, base, tmp_path, monkeypatch):
    os.utime(base, (0, 0))
    meanwhile(monkeypatch, lambda: ACTS[act](base, b"other"))
    with pytest.raises(ModelError, match=f"^{base}: was written to since this command began; run it again$"):
        make(base, tmp_path / "out")
    if make is not clone:
        assert {path.name for path in tmp_path.iterdir()} <= {base.name}


def test_the_digest_is_that_of_the_copy_whatever_the_source_becomes(base, tmp_path, monkeypatch):
    """Also where its times do not tell that somebody wrote to it."""
    before, times = base.read_bytes(), (base.stat().st_atime_ns, base.stat().st_mtime_ns)
    meanwhile(monkeypatch, lambda: (in_place(base, b"other"), os.utime(base, ns=times)))
    found = clone(base, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() != before
    assert found == hashlib.sha256((tmp_path / "out").read_bytes()).hexdigest()


BAD = {
    "shape": ("t0", delta(out=5), "shape"),
    "dtype": ("i", delta(), "I64"),
    "nan": ("t0", LowRank(torch.full((4, 1), torch.nan), torch.ones(1, 6)), "finite"),
    "overflow": ("t0", LowRank(torch.full((4, 1), 1e6), torch.ones(1, 6)), "finite"),
    "missing": ("t9", delta(), "t9"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(case, base, tmp_path):
    name, edit, word = BAD[case]
    (tmp_path / "out").write_text("an older state")
    with pytest.raises(ModelError, match=word):
        patch(base, tmp_path / "out", {"t4": told("t4"), name: told(name, edit)})
    assert (tmp_path / "out").read_text() == "an older state"
    assert {path.name for path in tmp_path.iterdir()} == {"out", base.name}


def test_a_change_of_size_is_refused(base, tmp_path):
    with pytest.raises(ValueError, match="bytes"):
        patch(base, tmp_path / "out", {"t0": lambda entry, raw: raw[:-2]})
    assert not (tmp_path / "out").exists()


def test_merging_rounds_once():
    weight, edit = torch.randn(64, 64).half(), delta(64, 3, 64)
    exact = weight.double() + edit.up @ edit.down
    assert merged(weight, edit).equal(exact.half())


def test_a_change_of_rank_0_leaves_every_bit():
    weight = torch.tensor([[-0.0, 0.0, 1.0]], dtype=torch.bfloat16)
    same = merged(weight, LowRank(torch.zeros(1, 0).double(), torch.zeros(0, 3).double()))
    assert same.view(torch.int16).equal(weight.view(torch.int16))


@pytest.mark.parametrize("rank", [0, 1, 5, 90])
def test_compression_keeps_the_product_and_finds_the_rank(rank):
    generator = torch.Generator().manual_seed(rank)
    core = torch.randn(40, min(rank, 4), dtype=torch.float64, generator=generator)
    spread = torch.randn(min(rank, 4), rank, dtype=torch.float64, generator=generator)
    down = torch.randn(rank, 30, dtype=torch.float64, generator=generator) * 1e4
    given = LowRank(core @ spread * 1e-4, down)
    found = compress(given)
    assert found.up.shape[1] == found.down.shape[0] == min(rank, 4)
    product = given.up @ given.down
    assert (found.up @ found.down - product).norm() <= 1e-12 * product.norm()
    assert found.up.norm(dim=0).tolist() == pytest.approx(found.down.norm(dim=1).tolist())
