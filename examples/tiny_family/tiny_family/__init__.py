"""A model family in one small package, which tracelang finds by its entry point and knows nothing else of.

`family` is what can be said from configs, without torch; `model` is what runs. `python -m tiny_family.build FOLDER`
writes a model with random weights.
"""

from tiny_family.family import Tiny

__all__ = ["Tiny", "TinyTextModel", "TinyTransformer"]


def __getattr__(name: str) -> object:
    """The classes that `model_index.json` names, imported when a pipeline asks for them: they need torch."""
    if name not in __all__:
        raise AttributeError(name)
    from tiny_family import model

    return getattr(model, name)
