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
    return next(pair for pair in found if pair.form == form)


@pytest.mark.parametrize("form", FORMS)
def test_a_killed_process_leaves_no_output_or_a_whole_one(form, found, tmp_path):
    seen = kills.kill(tmp_path / "kills", taking(found, form), 3, Random(form))
    assert seen["killed, no OUT"] + seen["killed, whole OUT"] == 3


def test_a_killed_patch_leaves_no_file_or_a_whole_one(found, tmp_path):
    seen = kills.kill_patch(tmp_path / "kills", taking(found, "single-file").base, 6, Random("patch"))
    assert seen["killed, no file"] + seen["killed, whole file"] == 6


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_gets_no_output_or_a_whole_one(form, found, tmp_path):
    if reason := disks.why_not():
        pytest.skip(reason)
    seen = disks.fill(tmp_path / "disks", taking(found, form), 3)
    assert seen["full while writing"] and seen["refused beforehand"] and seen["whole OUT"]


@pytest.mark.parametrize("name", ["a folder", "a single file"])
def test_a_spoilt_header_is_one_line_or_whole_work(name, found, tmp_path):
    pairs = [pair for pair in found if pair.base.name == name]
    seen = headers.lie(tmp_path / "headers", pairs[0].base, [pair.form for pair in pairs], 36, Random(name))
    assert seen["refused"] > seen["accepted"]
