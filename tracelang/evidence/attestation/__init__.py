"""Signed statements about an OUT: what was tested with what result, and what the edit was made of (in-toto, SLSA)."""
