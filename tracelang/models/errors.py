"""What a model's keeping warns of."""


class CacheFull(UserWarning):
    """What one command needs is more than a folder of the cache may hold. `str()` is one line."""
