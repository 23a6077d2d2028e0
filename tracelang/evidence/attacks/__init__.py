"""Attacks on an edited model: how an adversary brings an erased concept back (METHODS.md §10.6)."""
