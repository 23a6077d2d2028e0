"""What the engine raises for an edit it cannot make."""


class EngineError(Exception):
    """An edit that cannot be computed. `str()` is one line: which pass, which concept or site, and why."""
