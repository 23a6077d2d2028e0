"""Of a repository that holds the same weights several times, one variant is fetched."""

from tracelang.models import hub, variants
from tracelang.models.locate import PATTERNS

STEM = "diffusion_pytorch_model"
SMALL = ["model_index.json", "unet/config.json", "tokenizer/vocab.json", "README.md"]
SD15 = [
    *SMALL,
    "v1-5-pruned.safetensors",
    "v1-5-pruned.ckpt",
    *(f"unet/{STEM}{end}.safetensors" for end in ("", ".fp16", ".non_ema")),
    f"unet/{STEM}.bin",
    *(f"text_encoder/model{end}.safetensors" for end in ("", ".fp16")),
    *(f"safety_checker/model{end}.safetensors" for end in ("", ".fp16")),
    *(f"vae/{STEM}{end}.safetensors" for end in ("", ".fp16")),
]


def fetched(files):
    return hub.chosen(files, PATTERNS)


def test_the_plain_weights_are_fetched_once_each():
    assert fetched(SD15) == sorted(
        [
            *SMALL,
            f"unet/{STEM}.safetensors",
            "text_encoder/model.safetensors",
            "safety_checker/model.safetensors",
            f"vae/{STEM}.safetensors",
        ]
    )


def test_where_there_are_none_the_half_precision_is():
    files = [*SMALL, *(f"{part}.{kind}.safetensors" for kind in ("fp16", "bf16") for part in (f"unet/{STEM}", "vae/x"))]
    assert f"unet/{STEM}.fp16.safetensors" in fetched(files) and f"unet/{STEM}.bf16.safetensors" not in fetched(files)
    assert {"vae/x.fp16.safetensors", "vae/x.bf16.safetensors"} <= set(fetched(files))  # of no name that is looked for


def test_shards_come_with_their_index_in_every_naming(tmp_path):
    """What is chosen is what `weights.find` finds, so that nothing it needs stays behind."""
    namings = {
        None: [(f"{STEM}-0000{i}-of-00002.safetensors", f"{STEM}.safetensors.index.json") for i in (1, 2)],
        "fp16": [(f"{STEM}.fp16-0000{i}-of-00002.safetensors", f"{STEM}.safetensors.index.fp16.json") for i in (1, 2)],
        "older": [(f"{STEM}-0000{i}-of-00002.fp16.safetensors", f"{STEM}.safetensors.fp16.index.json") for i in (1, 2)],
    }
    for variant, pairs in namings.items():
        files = sorted({f"transformer/{name}" for pair in pairs for name in pair})
        beside = [f"transformer/{STEM}.bf16.safetensors"]
        assert fetched([*files, *beside]) == files, variant
    assert variants.VARIANTS[0] is None  # the plain one first, as `find` takes it


def test_without_the_list_the_download_speaks_for_itself(monkeypatch, tmp_path):
    import huggingface_hub

    asked = []

    def listing(self, name, revision=None):
        if name == "un/listed":
            raise ConnectionError
        return [*SD15, "unet/odd[1].json"]

    def snapshot(name, *, revision, allow_patterns):
        asked.append((name, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", listing)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    hub.fetch("li/sted", "v1", PATTERNS)
    hub.fetch("un/listed", None, PATTERNS)
    (_, revision, some), (_, none, every) = asked
    assert revision == "v1" and none is None and every == list(PATTERNS)
    assert "unet/odd[[]1].json" in some and not any("fp16" in file for file in some)
