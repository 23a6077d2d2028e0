"""Both sides of an edit as files hold them: any matrix before and after, one at a time, and the text encoder alone."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from tracelang.checkpoint import lora
from tracelang.checkpoint.merge import merged, stored
from tracelang.evidence.artifact import Artifact
from tracelang.evidence.certificate import Sides
from tracelang.models import weights
from tracelang.models.locate import family_of
from tracelang.models.prompt_side import PromptSide
from tracelang.models.protocol import TextSide
from tracelang.models.single import reference
from tracelang.plan.family import Site


def sides(artifact: Artifact, base: Path, text: TextSide) -> Sides:
    """The sides of an OUT and of its base's folder, whose prompt side is `text`.

    Of an OUT that is a LoRA alone the edited matrix is what a program makes of it: the sum, in the base's dtype.
    Raises ModelError.
    """
    edited = artifact.folder(base)
    factors = lora.read(artifact.adapter, text.sites) if edited is None else {}

    def before(site: Site) -> Tensor:
        return stored(base, site)

    def after(site: Site) -> Tensor:
        if edited is not None:
            return stored(edited, site)
        whole = stored(base, site)
        return merged(whole, factors[site], site.tensor) if site in factors else whole

    words = None
    if edited is not None and isinstance(text, PromptSide) and _words(base, text) != _words(edited, text):
        words = family_of(edited).text(edited, str(text.device), str(text.dtype).removeprefix("torch."))
    left_out = artifact.left_out if edited is None else 0.0
    return Sides(text, before, after, words, encoders(base, text), left_out)


def encoders(folder: Path, text: TextSide) -> dict[str, str]:
    """sha256 of the weights of each text encoder of a model, by component; of shards, over theirs in order."""
    if not isinstance(text, PromptSide):
        return {}
    whole = weights.fingerprints(folder)
    names = dict.fromkeys(name for path in text.paths for name in path.components[0])
    return {name: reference.digest(folder / name) or whole[name] for name in names}


def _words(folder: Path, text: PromptSide) -> str:
    """A digest of all that decides what prompts mean to the model in a folder."""
    encoders, tokenizers = (tuple(name for path in text.paths for name in path.components[which]) for which in (0, 1))
    return weights.prompt_side(folder, encoders, tokenizers)
