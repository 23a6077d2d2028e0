"""What a report shows is what was applied and measured: whoever changes a file of OUT, a unit or a report is noticed.

No key is anywhere, so what is held here is that a change has to be carried through every file that knows of it, and
that a changed recipe, plan, base, adapter, record or picture cannot be carried through at all or is named.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import tracelang
from tests.evidence.edits import RECIPE, change, closed_form, rehash
from tracelang.checkpoint import earlier
from tracelang.cli import main
from tracelang.engine.low_rank import LowRank
from tracelang.evidence import compared, verify
from tracelang.evidence.artifact import EvidenceError, read
from tracelang.evidence.panel import Panel, setting
from tracelang.evidence.panel import alone as one_judge
from tracelang.evidence.schema import Report
from tracelang.evidence.units import everyday
from tracelang.evidence.work import Run, Work, WorkError, alone
from tracelang.plan.family import ModelError
from tracelang_micro import micro_sd
from tracelang_micro.judging import Micro

EXPECT = "expect over 2 samples { shown(dog) <= 80% }"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An edit from a file with an include and a list, verified; nobody writes into it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "words.txt").write_text("canine\n")
    (folder / "r.erase").write_text(RECIPE.replace('probes "canine"', 'probes list "words.txt"') + EXPECT)
    applied = tracelang.apply(tracelang.bind(tracelang.compile(folder / "r.erase"), "micro-sd"), device="cpu")
    applied.save(folder / "out", root=folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(everyday, "COUNT", everyday.LEAST)
        verify.verify(folder / "out", samples=0, steps=2)
    return folder


@pytest.fixture
def out(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home / "out", tmp_path / "out")
    return tmp_path / "out"


def work(out: Path) -> Path:
    (folder,) = (out / "report" / "work").glob("*/")
    return folder


def refused(*words: str) -> str:
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 2 and ran.stderr.startswith("error: ") and ran.stderr.count("\n") == 1, ran.output
    return ran.stderr


def swap(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_every_file_of_an_output_is_compared(out: Path) -> None:
    """One byte, and the file taken away: each is named. The card alone is written anew, and the report."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and "report" not in path.relative_to(out).parts]
    assert len(files) > 10
    for file in files:
        name = file.relative_to(out).as_posix()
        if name == "README.md":
            continue
        data = file.read_bytes()
        for new in (bytes([data[0] ^ 1]) + data[1:], data + b" ", None):
            file.unlink()
            if new is not None:
                file.write_bytes(new)
            if name in ("manifest.json", "lock.json", "plan.json") and new == data + b" ":
                harmless = name == "manifest.json"  # it has no digest but the one in the report
            else:
                harmless = False
            if not harmless:
                with pytest.raises((EvidenceError, tracelang.CompileError), match=name.split("/")[-1].split(".")[0]):
                    read(out)
        file.write_bytes(data)
    read(out)


@pytest.mark.parametrize("place", ["APPROVED.txt", "recipe/APPROVED.txt", "model/unet/x.safetensors", "model/.hidden"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_nobody_wrote_is_named(out: Path, place: str, kind: str) -> None:
    if kind == "file":
        (out / place).write_text("signed off by the safety board")
    else:
        (out / place).symlink_to(out / "model")
    assert f"{out / place}: is not in the manifest" in refused("merge", str(out))


def edited_recipe(out: Path) -> None:
    swap(out / "recipe" / "r.erase", "<= 80%", "<= 1%")


def edited_list(out: Path) -> None:
    (out / "recipe" / "words.txt").write_text("canine\nhound\n")


def comment(out: Path) -> None:
    swap(out / "recipe" / "r.erase", "erase dog", "# signed off\nerase dog")


def added(out: Path) -> None:
    (out / "recipe" / "APPROVED.txt").write_text("signed off")
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"]["recipe/APPROVED.txt"] = ""
    (out / "manifest.json").write_text(json.dumps(manifest))


def easier_plan(out: Path) -> None:
    plan = tracelang.load_plan(out / "plan.json")
    easier = plan.model_copy(update={"expect": tuple(one.model_copy(update={"bound": 0.99}) for one in plan.expect)})
    (out / "plan.json").write_text(easier.to_json())
    change(out / "lock.json", plan=easier.digest)
    change(out / "manifest.json", plan=easier.digest)


def other_sources(out: Path) -> None:
    sources = json.loads((out / "lock.json").read_text())["sources"]
    change(out / "lock.json", sources={**sources, "r.erase": "0" * 64})


def params(out: Path) -> None:
    change(out / "lock.json", recipe={"path": "r.erase", "params": {"degree": "1%"}})


def elsewhere(out: Path) -> None:
    change(out / "lock.json", recipe={"path": "../recipe/r.erase", "params": {}})


def nonsense(out: Path) -> None:
    change(out / "lock.json", recipe=["r.erase"])


def no_recipe(out: Path) -> None:
    change(out / "lock.json", recipe=None)


@pytest.mark.parametrize(
    ("tamper", "word"),
    [
        (edited_recipe, "is not the file that was compiled"),
        (edited_list, "is not the file that was compiled"),
        (comment, "is not the file that was compiled"),
        (added, "APPROVED.txt: is no source of this plan"),
        (easier_plan, "gives another plan than plan.json"),
        (other_sources, "has other sources than plan.json"),
        (params, "does not compile"),
        (elsewhere, "not there"),
        (nonsense, "does not say which recipe"),
        (no_recipe, "no recipe gives this plan"),
    ],
)
@pytest.mark.parametrize("hidden", [False, True])
def test_a_recipe_or_plan_that_was_not_applied_is_refused(
    out: Path, tamper: Callable[[Path], None], word: str, hidden: bool
) -> None:
    """Also where every digest of the manifest is computed anew."""
    tamper(out)
    if hidden:
        rehash(out)
    for command in ("merge", "verify"):
        told = refused(command, str(out))
        assert word in told if hidden else str(out) in told


def test_a_whole_other_recipe_under_consistent_digests_is_another_plan(out: Path) -> None:
    """Recipe, its digest in plan, lock and manifest, all made to agree: what it compiles to still is not the plan."""
    edited_recipe(out)
    digest = compared.weights.sha256(out / "recipe" / "r.erase")
    plan = tracelang.load_plan(out / "plan.json")
    sources = tuple(s.model_copy(update={"sha256": digest}) if s.path == "r.erase" else s for s in plan.sources)
    (out / "plan.json").write_text(plan.model_copy(update={"sources": sources}).to_json())
    change(out / "lock.json", sources={source.path: source.sha256 for source in sources})
    rehash(out)
    told = refused("merge", str(out))
    assert "r.erase: gives another plan than plan.json, which was applied; apply the recipe" in told
    versions = json.loads((out / "lock.json").read_text())["versions"]
    change(out / "lock.json", versions={**versions, "tracelang": "0.0.9"})
    rehash(out)
    assert f"tracelang {tracelang.__version__} reads it otherwise than 0.0.9" in refused("merge", str(out))


@pytest.mark.parametrize("part", ["file", "tensor", "hidden edit", "unknown tensor"])
def test_what_the_manifest_says_of_the_base_is_the_bases(out: Path, part: str) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    files, tensors = manifest["model"]["files"], manifest["model"]["tensors"]
    (weights,) = tensors
    if part == "file":
        files["model_index.json"]["before"] = "0" * 64
    elif part == "tensor":
        next(one for one in tensors[weights].values() if one["before"] != one["after"])["before"] = "0" * 64
    elif part == "unknown tensor":
        tensors[weights].popitem()
    else:
        del tensors[weights]
    compared.with_base(read(out), micro_sd())
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EvidenceError, match=r"manifest\.json: .*apply the recipe again"):
        compared.with_base(read(out), micro_sd())


@pytest.mark.parametrize("harm", ["zeroed", "doubled", "one layer gone", "one layer zeroed"])
def test_an_adapter_that_is_another_edit_is_found(out: Path, harm: str) -> None:
    compared.adapter(read(out), micro_sd())
    file = out / "lora.safetensors"
    layers = load_file(file)
    ups = [name for name in layers if name.endswith("lora_B.weight")]
    if harm == "one layer gone":
        stem = ups[0].removesuffix(".lora_B.weight")
        layers = {name: tensor for name, tensor in layers.items() if not name.startswith(f"{stem}.")}
    else:
        scale = 2 if harm == "doubled" else 0
        for name in ups[:1] if harm.startswith("one") else ups:
            layers[name] = layers[name] * scale
    save_file(layers, file)
    if "zeroed" in harm:
        manifest = json.loads((out / "manifest.json").read_text())
        change(out / "manifest.json", lora={**manifest["lora"], "error": 1.0})  # as though all of it might be missing
    rehash(out)
    with pytest.raises(EvidenceError, match=r"lora\.safetensors: is not the edit of model/"):
        compared.adapter(read(out), micro_sd())
    assert "is not the edit of model/" in refused("verify", str(out))
    assert "verification of another edit" in refused("merge", str(out))  # the units' run knows the adapter's digest


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-6, 1e-2, 1.0])
def test_rounding_is_no_other_edit_and_a_zeroed_adapter_is(dtype: torch.dtype, size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    old = (torch.randn(64, 48, generator=generator) / 7).to(dtype)
    up, down = torch.randn(64, 4, generator=generator) * size, torch.randn(4, 48, generator=generator)
    new = (old.double() + up.double() @ down.double()).to(dtype)
    stored = LowRank(up.to(dtype), down.to(dtype))
    assert compared.same(old, new, stored, {dtype})
    if size > 1e-3:
        assert not compared.same(old, new, None, {dtype})
        assert not compared.same(old, new, LowRank(stored.up * 0, stored.down), {dtype})
        assert not compared.same(old, new, LowRank(stored.up * torch.nan, stored.down), {dtype})


def test_what_no_picture_was_drawn_with_is_named_everywhere(out: Path) -> None:
    ran = CliRunner().invoke(main, ["merge", str(out)])
    assert "not measured: lora.safetensors: no picture was drawn with it" in ran.stdout
    report = Report.model_validate_json((out / "report" / "report.json").read_bytes())
    assert any("lora.safetensors" in line for line in report.untested) and report.provenance.unmeasured
    assert "- Not measured: lora.safetensors: no picture was drawn with it" in (out / "README.md").read_text()
    assert "lora.safetensors: no picture was drawn" in (out / "report" / "report.html").read_text()
    assert report.provenance.compiled == {"file": "r.erase"} and next(iter(report.provenance.recipe)) == "r.erase"


def test_a_record_or_picture_that_was_changed_is_named(out: Path) -> None:
    folder = work(out)
    units = [file for file in sorted(folder.glob("*.json")) if file.name != "run.json"]
    pictures = sorted(folder.rglob("*.png"))
    assert units and len(pictures) >= 2
    for file in [*units, *pictures]:
        data = file.read_bytes()
        others = [one for one in pictures if one != file and one.read_bytes() != data]
        changes = (
            [others[0].read_bytes(), None]
            if file in pictures
            else [
                data.replace(b'"seconds": ', b'"seconds": 1', 1),
                data.replace(b'"kind"', b'"Kind"', 1),
                data[:-9],
                b"",
                b"[]",
            ]
        )
        for new in changes:
            assert new != data
            file.write_bytes(new) if new is not None else file.unlink()
            assert str(file) in refused("merge", str(out))
        file.write_bytes(data)
    swap(folder / "run.json", '"samples": 0', '"samples": 1')
    assert "is no unit of this run" in refused("merge", str(out))


def test_the_same_records_give_the_same_bytes_and_a_changed_report_is_kept_and_named(out: Path) -> None:
    forms = {name: (out / name).read_bytes() for name in earlier.FORMS if name != "report/hits.jsonl"}
    ran = CliRunner().invoke(main, ["merge", str(out)])
    assert "warning" not in ran.stderr and not (out / "report" / "earlier").exists()
    assert {name: (out / name).read_bytes() for name in forms} == forms
    for i, name in enumerate(forms, 1):
        (out / name).write_bytes(forms[name] + b" ")
        ran = CliRunner().invoke(main, ["merge", str(out)])
        kept = out / "report" / "earlier" / f"{i:04d}"
        told = f"{out / name}: was changed after it was written; it is written anew, and kept as it was in {kept}"
        assert told in ran.stderr
        assert (out / name).read_bytes() == forms[name] and (kept / Path(name).name).read_bytes() == forms[name] + b" "
    (out / "report" / "written.json").unlink()
    swap(out / "report" / "report.json", '"verdict": "', '"verdict": "un')
    assert "said something else (un" in CliRunner().invoke(main, ["merge", str(out)]).stderr


def test_an_output_that_is_replaced_keeps_its_verdicts_and_units(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, folder = (out / "report" / "report.json").read_bytes(), work(out)
    units = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    card = (out / "README.md").read_bytes()
    monkeypatch.chdir(tmp_path)
    Path("other.erase").write_text(RECIPE)
    ran = CliRunner().invoke(main, ["apply", "other.erase", "--model", "micro-sd", "--out", "out", "--force"])
    verdict = json.loads(report)["verdict"]
    told = f"warning: out: held a report of the edit before ({verdict}); it is kept in out/report/earlier/0001"
    assert ran.exit_code == 0 and told in ran.stderr, ran.output
    kept = out / "report" / "earlier" / "0001"
    assert (kept / "report.json").read_bytes() == report and (kept / "README.md").read_bytes() == card
    assert not (out / "report" / "report.json").exists() and (out / "README.md").read_bytes() != card
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == units
    read(out)
    assert "verification of another edit" in refused("merge", str(out))


def test_faults_of_the_report_folder_are_one_line(out: Path) -> None:
    report = out / "report"
    (report / "report.json").unlink()
    (report / "report.json").mkdir()
    assert "is a directory" in refused("merge", str(out))
    (report / "report.json").rmdir()
    (report / "earlier").write_text("")
    (report / "report.json").write_text("{")
    assert "earlier" in refused("merge", str(out))
    (report / "report.json").unlink()
    (report / "work" / "lock").unlink()
    (report / "work" / "lock").mkdir()
    assert "lock" in refused("merge", str(out))
    shutil.rmtree(report)
    assert "nothing was verified yet" in refused("merge", str(out))
    report.write_text("")
    assert "report: is not in the manifest" in refused("merge", str(out))
    report.unlink()
    assert "/nonexistent: no such model" in refused("verify", str(out), "--model", "/nonexistent")
    assert "--device nowhere" in refused("verify", str(out), "--device", "nowhere")


def test_a_full_disk_is_one_line_and_leaves_what_there_was(out: Path) -> None:
    (out / "report" / "written.json").unlink()
    (out / "report" / "report.json").unlink()
    before = {path: path.read_bytes() for path in (out / "report").rglob("*.json")}
    done = subprocess.run(
        [sys.executable, "-c", "from tracelang.cli import main; main()", "merge", str(out)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "file too large; make room there" in done.stderr
    assert {path: path.read_bytes() for path in (out / "report").rglob("*.json")} == before
    assert not list((out / "report").rglob(".*.part"))


RUN = Run({"plan": "p", "sampler": {"steps": 20}}, ("certificate",), (), {}, {}, (), {})
OTHER = Run({"plan": "p", "sampler": {"steps": 50}}, ("certificate",), (), {}, {}, (), {})


def _hold(root: Path, begun: Any, end: Any) -> None:
    with alone(root, RUN):
        Work(root / RUN.folder, RUN).begin()
        begun.set()
        end.wait(30)


def test_two_runs_with_different_options_at_once(tmp_path: Path) -> None:
    """Processes of one run share a work folder; another run is refused at once, and let in when they end, or die."""
    context = multiprocessing.get_context("fork")
    begun, end = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, begun, end))
    process.start()
    assert begun.wait(30)
    with alone(tmp_path, RUN):
        pass
    told = r"another `tracec verify` is at work here with other settings \(sampler differ"
    with pytest.raises(WorkError, match=told), alone(tmp_path, OTHER):
        pass
    os.kill(process.pid or 0, 9)
    process.join()
    with alone(tmp_path, OTHER):
        pass


def test_a_judge_is_what_it_was_told_and_its_code(tmp_path: Path) -> None:
    judge = Micro()
    one, other = (Panel((judge,), {}, {}, (), {"micro": value}) for value in ("0.6", "0.9"))
    assert one.cards != other.cards and one.cards[0].setting == "0.6"
    assert len({Run.of(panel, {}, (), {}).digest for panel in (one, other)}) == 2
    assert "tracelang-micro" in one.cards[0].code and "Micro, source sha256:" in one.cards[0].code

    class Same(Micro):
        pass

    assert Panel((Same(),), {}, {}).cards != Panel((judge,), {}, {}).cards
    for name in ("here", "there"):
        (tmp_path / name / "people").mkdir(parents=True)
        (tmp_path / name / "people" / "a.png").write_bytes(b"a")
    here = setting(str(tmp_path / "here"))
    assert here == setting(str(tmp_path / "there")) and here.startswith("files sha256:") and setting("0.6") == "0.6"
    (tmp_path / "here" / "people" / "a.png").write_bytes(b"b")
    assert setting(str(tmp_path / "here")) != here


def test_a_judge_that_is_written_to_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest on its card is of what looks."""
    file = tmp_path / "weights.onnx"
    file.write_bytes(b"a")

    def read(spec: str) -> Micro:
        file.write_bytes(file.read_bytes() + b"b")
        return Micro()

    monkeypatch.setattr("tracelang.evidence.panel.load", read)
    with pytest.raises(ModelError, match=f"^{file}: was written to since this command began; run it again$"):
        one_judge(f"micro={tmp_path}", (), ())
    assert one_judge("micro=0.6", (), ())[1].setting == "0.6"  # what is no file is nobody's to write to


SET = """param strength = 100% in 0%..100%
templates object = "a {}"
erase "dog" degree param.strength
preserve "cat"
method uce {}
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.random_sd import build

    folder = tmp_path_factory.mktemp("models") / "tiny"
    build(folder, config="tiny")
    return folder


@pytest.mark.parametrize("kind", ["set", "plan of set", "list", "std", "import", "plan alone", "stdin", "below"])
def test_whatever_was_applied_compiles_again(
    kind: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    text = {
        "list": SET.replace('"dog" degree', 'list "words.txt" degree'),
        "below": SET.replace('"dog" degree', 'list "../words.txt" degree'),
        "import": 'import "more.erase" as more\n' + SET,
        "std": 'import "std/things.erase" as more\n' + SET,
    }.get(kind, SET)
    Path("words.txt").write_text("dog\nwolf\n")
    Path("more.erase").write_text('concept hare { names "hare" templates "a {}" }\n')
    Path("sub").mkdir()
    file = Path("sub/r.erase" if kind == "below" else "r.erase")
    file.write_text(text)
    words, entry, params = [str(file)], file.as_posix(), {"strength": "0%"}
    if kind in ("plan of set", "plan alone"):
        assert CliRunner().invoke(main, ["compile", str(file), "--set", "strength=0%"]).exit_code == 0
        words, entry, params = ["r.plan.json"], "explained.erase", {}
        if kind == "plan alone":
            file.unlink()
    elif kind == "stdin":
        words, entry, params = ["-", "--set", "strength=0%"], "explained.erase", {}
    else:
        words += ["--set", "strength=0%", "--root", "."]
    ran = CliRunner().invoke(main, ["apply", *words, "--model", str(tiny), "--out", "out"], input=text)
    assert ran.exit_code == 0, ran.output
    found = read(Path("out"))
    assert found.lock["recipe"] == {"path": entry, "params": params}
    assert found.plan.erase[0].degree == 0 and next(iter(found.recipe())) == entry
    assert found.compiled == {"file": entry, **({"--set strength": "0%"} if params else {})}
    if kind == "std":  # as if the installation it was applied with had had another one
        file = Path("out/recipe/std/things.erase")
        file.write_text(file.read_text() + "\n")
        plan, digest = found.plan, compared.weights.sha256(file)
        sources = [s.model_copy(update={"sha256": digest}) if s.path in str(file) else s for s in plan.sources]
        Path("out/plan.json").write_text(plan.model_copy(update={"sources": tuple(sources)}).to_json())
        change(Path("out/lock.json"), sources={source.path: source.sha256 for source in sources})
        rehash(Path("out"))
        with pytest.raises(EvidenceError, match=r"reads std/things\.erase, and that of this installation is not what"):
            read(Path("out"))
    elif params:
        change(Path("out/lock.json"), recipe={"path": entry, "params": {"strength": "1%"}})
        rehash(Path("out"))
        with pytest.raises(EvidenceError, match="gives another plan"):
            read(Path("out"))


def test_an_output_of_an_earlier_version_says_so(out: Path) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["format_version"] = 1
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert "earlier version of tracelang; apply the recipe again" in refused("merge", str(out))


def test_a_closed_form_from_a_text_is_spelled_out(tmp_path: Path) -> None:
    found = read(closed_form(tracelang.compile(RECIPE), tmp_path / "out"))
    assert list(found.recipe()) == ["explained.erase"]
