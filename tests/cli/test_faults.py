"""What goes wrong on a machine ends in one line and the documented exit code, in every command that meets a model."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors import SafetensorError

from tracelang.cli import main
from tracelang.engine.errors import EngineError
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.panel import JudgeError
from tracelang.evidence.report.html import PictureError
from tracelang.evidence.work import WorkError
from tracelang.plan.family import ModelError

RECIPE = 'templates object = "a {}"\nerase "cat"\npreserve "dog"\nmethod uce {}\n'
COMMANDS: dict[str, tuple[list[str], str, int]] = {
    "plan": (["r.erase", "--model", "micro-sd"], "tracelang.api.bind", 1),
    "apply": (["r.erase", "--model", "micro-sd", "--out", "out"], "tracelang.api.bind", 1),
    "sample": (["micro-sd", "--prompt", "a cat"], "tracelang.models.locate.locate", 1),
    "verify": (["out"], "tracelang.evidence.verify.verify", 2),
    "merge": (["out"], "tracelang.evidence.verify.merge", 2),
    "certify": (["out"], "tracelang.evidence.certify.certify", 2),
}
"""Words, what is made to fail, and the exit code of an error."""
FAULTS: dict[str, Exception] = {
    "no model": ModelError("nowhere: no such model"),
    "an edit": EngineError("refine: no such layer"),
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "memory": MemoryError(),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried …"),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "weights": SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    "no words": OSError("the drive is gone"),
    "nothing": OSError(),
    "two\nlines": OSError(errno.EIO, "Input/output\nerror", "a\nb"),
    **{
        name: OSError(getattr(errno, name), os.strerror(getattr(errno, name)), "some/file")
        for name in (
            "ENOSPC",
            "EDQUOT",
            "EACCES",
            "EPERM",
            "EROFS",
            "EIO",
            "EMFILE",
            "ENOENT",
            "EISDIR",
            "ENOTDIR",
            "EEXIST",
            "ELOOP",
            "ENAMETOOLONG",
            "EBUSY",
            "ESTALE",
            "EFBIG",
            "ETIMEDOUT",
        )
    },
}
OWN: dict[str, Exception] = {
    "evidence": EvidenceError("out: is damaged"),
    "judge": JudgeError("no judge"),
    "work": WorkError("a unit"),
    "picture": PictureError("a picture"),
}
"""What only verification raises."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    Path("r.erase").write_text(RECIPE, "utf-8")


def refused(code: int, *words: str) -> str:
    ran = CliRunner().invoke(main, words)
    assert isinstance(ran.exception, SystemExit), ran.exception
    assert ran.exit_code == code and ran.stderr.startswith("error: "), ran.stderr
    assert ran.stderr.count("\n") == 1 and "Traceback" not in ran.stderr, ran.stderr
    return ran.stderr


@pytest.mark.parametrize("fault", [*FAULTS, *OWN])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_fault_is_one_line(command: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words, place, code = COMMANDS[command]
    if fault in OWN and command not in ("verify", "merge", "certify"):
        return
    error = {**FAULTS, **OWN}[fault]

    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(place, fails)
    told = refused(code, command, *words)
    if isinstance(error, OSError) and error.filename == "some/file":
        assert "some/file: " in told
    if fault in ("cuda", "memory", "cpu", "mps", "cublas"):
        assert "out of memory; " in told
    if fault in ("ENOSPC", "EDQUOT", "EACCES", "EROFS"):
        assert "; " in told  # what to do


@pytest.mark.parametrize("command", ["verify", "merge"])
def test_a_fault_of_the_program_is_no_verdict(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words, place, _ = COMMANDS[command]
    for error, code in ((RuntimeError("a fault"), 2), (ValueError("a fault"), 2), (KeyboardInterrupt(), 130)):

        def fails(*_: Any, error: BaseException = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(place, fails)
        assert CliRunner().invoke(main, [command, *words]).exit_code == code


@pytest.mark.parametrize("command", ["plan", "apply", "sample"])
@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "meta:x", ""])
def test_a_device_that_is_not_here(command: str, device: str) -> None:
    words, _, code = COMMANDS[command]
    assert "--device" in refused(code, command, *words, "--device", device)


@pytest.mark.parametrize("command", ["plan", "apply", "sample"])
def test_a_model_that_is_not_there(command: str) -> None:
    words, _, code = COMMANDS[command]
    words = ["/nonexistent" if word == "micro-sd" else word for word in words]
    assert "/nonexistent: no such model" in refused(code, command, *words)
