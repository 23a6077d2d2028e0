"""What the engine raises for an edit it cannot make."""


class EngineError(Exception):
    """An edit that cannot be computed. `str()` is one line: which pass, which concept or site, and why."""


class CacheFull(UserWarning):
    """What one command needs is more than a folder of the cache may hold. `str()` is one line."""
