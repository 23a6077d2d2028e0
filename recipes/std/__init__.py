"""The standard library of the language."""
