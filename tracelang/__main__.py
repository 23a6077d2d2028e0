"""`python -m tracelang`: `tracec`, where its script is not on the path."""

from tracelang.cli import main

main(prog_name="python -m tracelang")
