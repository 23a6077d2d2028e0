"""What ends a verification."""


class EvidenceError(Exception):
    """A verification that cannot run. `str()` is one line: what, where, and what to do."""
