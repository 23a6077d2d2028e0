"""From `--model` to a folder and a family, through real entry points."""

import sys
from fnmatch import fnmatch

import pytest

from tracelang.models.locate import embedded, families, family_of, locate, title
from tracelang.plan.family import ModelError


@pytest.fixture
def installed(tiny, tmp_path, monkeypatch):
    """A distribution that offers the SD backend and one embedded model."""
    info = tmp_path / "site" / "some_models-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-models\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[tracelang.models]\nsome-sd = some_models_of_a_test:path\n"
        "[tracelang.backends]\nsome-backend = tracelang_sd:StableDiffusion\n"
    )
    (tmp_path / "site" / "some_models_of_a_test.py").write_text(f"def path(): return {str(tiny)!r}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    return tiny


def test_an_embedded_name_and_a_folder(installed, tmp_path):
    assert "some-sd" in embedded() and locate("some-sd") == installed
    assert locate(str(installed)) == installed
    assert any("sd1" in family.names for family in families())
    assert family_of(installed).name(installed) == "sd1"


def test_everything_else_is_refused_in_one_line(installed, tmp_path, monkeypatch):
    for name in ("a.ckpt", "a.safetensors", "a.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder").mkdir()
    expected = {
        "some-ds": "did you mean 'some-sd'",
        "whatever": "owner/name",
        "a.ckpt": "pickle",
        "a.safetensors": "0 bytes",
        "a.txt": "diffusers layout",
        "folder": "model_index.json",
    }
    monkeypatch.chdir(tmp_path)
    for model, word in expected.items():
        with pytest.raises(ModelError) as caught:
            locate(model)
        assert word in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_beside_the_model_says_where_that_is(tmp_path):
    for path in ("out/model/model_index.json", "base/model_index.json"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("{}")
    (tmp_path / "base" / "unet").mkdir()
    (tmp_path / "checkpoints").mkdir()
    for size, name in enumerate(("lora", "delta", "model")):
        (tmp_path / "checkpoints" / f"{name}.safetensors").write_bytes(bytes(size))
    for given, told in (
        ("out", f"pass {tmp_path / 'out' / 'model'}"),
        ("base/unet", f"it is a part of {tmp_path / 'base'}; pass that"),
        ("checkpoints", "pass a file in it, as model.safetensors"),
    ):
        with pytest.raises(ModelError) as caught:
            locate(str(tmp_path / given))
        assert str(caught.value) == f"{tmp_path / given}: no model_index.json in it; {told}"


def unreachable(*told, **more):
    raise ConnectionError("no network in a test")


def test_a_hub_id_is_fetched_without_pickles_or_said_to_be_missing(tiny, monkeypatch):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", unreachable)

    def snapshot(name, *, revision, allow_patterns):
        asked.append((name, revision))
        assert not any("bin" in pattern or "ckpt" in pattern for pattern in allow_patterns)
        for needed in ("tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer_2/spiece.model"):
            assert any(fnmatch(needed, pattern) for pattern in allow_patterns)
        if name == "some/one":
            return str(tiny)
        raise huggingface_hub.errors.LocalEntryNotFoundError("offline\nand not cached")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert locate("some/one@v1.0") == tiny
    assert asked == [("some/one", "v1.0")]
    with pytest.raises(ModelError, match="offline and not cached"):
        locate("some/other")


def test_a_mistyped_path_is_no_hub_id(tiny, tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", unreachable)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **options: str(tiny))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out" / "nswf").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"did you mean out/nswf\?"):
        locate("out/nsfw")
    with pytest.raises(ModelError, match="out/xyz@main"):
        locate("out/xyz")
    assert locate("out/nsfw@main") == locate("else/where") == tiny


def test_what_a_model_is_called(installed, tmp_path):
    assert title("some-sd") == "some-sd" and title(str(installed)) == installed.name
    assert title("owner/name@v1.0") == "owner/name"


def test_a_folder_of_no_family(installed, tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "CogVideoXPipeline"}')
    with pytest.raises(ModelError, match=r"CogVideoXPipeline.*sd1"):
        family_of(tmp_path)
    (tmp_path / "model_index.json").write_text("[")
    with pytest.raises(ModelError, match="unreadable"):
        family_of(tmp_path)
