"""`python -m tracelang`: `tracec`, where its script is not on the path."""

from tracelang.cli import run

run("python -m tracelang")
