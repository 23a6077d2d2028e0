"""A few kills, full disks and spoilt headers of every form; `make soak` has many."""

from random import Random

import pytest

from tests.soak import disks, headers, kills
from tests.soak.command import pairs
from tracelang.checkpoint import forms

FORMS = forms.known()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    at = tmp_path_factory.mktemp("soak")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACELANG_CACHE", str(at / "cache"))
        yield pairs(at)


def taking(found, form):
    return next((base, whole, seconds) for base, other, whole, seconds in found if other == form)


@pytest.mark.parametrize("form", FORMS)
def test_a_killed_process_leaves_no_output_or_a_whole_one(form, found, tmp_path):
    base, whole, seconds = taking(found, form)
    seen = kills.kill(tmp_path / "kills", base, form, whole, seconds, 4, Random(form))
    assert seen["killed, no OUT"] + seen["killed, whole OUT"]


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_gets_no_output_or_a_whole_one(form, found, tmp_path):
    if reason := disks.why_not():
        pytest.skip(reason)
    base, whole, _ = taking(found, form)
    seen = disks.fill(tmp_path / "disks", base, form, whole, 300_000, 4)
    assert seen["refused"]


@pytest.mark.parametrize("name", ["a folder", "a single file"])
def test_a_spoilt_header_is_one_line_or_whole_work(name, found, tmp_path):
    known = [form for base, form, *_ in found if base.name == name]
    (base,) = {base for base, *_ in found if base.name == name}
    seen = headers.lie(tmp_path / "headers", base, known, 36, Random(name))
    assert seen["refused"] > seen["accepted"]
