"""The commands of `tracec`: one file each, imported when it is called, so that `--help` costs little."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from keyword import iskeyword
from typing import Any

from tracelang.cli.collecting import without_collecting

with without_collecting():
    import click

from tracelang.cli.streams import guarded

BUILT_IN = ("inspect",)
"""Commands that are called as a module of Python's own is."""

# Name: one line of help. The command is `command` in the module `tracelang.cli.<name>`, or `.<name>_`.
COMMANDS: dict[str, str] = {
    "init": "Write a first recipe, with comments.",
    "import": "Turn another tool's file into a recipe.",
    "compile": "Compile a recipe to a plan.",
    "lint": "Find mistakes in recipes, and mend the safe ones.",
    "fmt": "Put recipes into the one canonical style.",
    "diff": "Show what changes between two recipes, or two versions of one.",
    "breaking": "Find what a recipe promises less than it did before.",
    "explain": "Print a recipe with every default, or every prompt it leads to.",
    "rule": "Explain a finding's code.",
    "lsp": "Answer an editor: findings, hovers, completion, formatting.",
    "models": "List the models that come with this installation.",
    "doctor": "Tell what is installed here, and what is missing for what.",
    "cache": "Show or clear what is kept between runs.",
    "inspect": "Tell what a checkpoint, an adapter or an output holds.",
    "plan": "Show what a recipe would change in a model.",
    "apply": "Apply a recipe or a plan to a model.",
    "patch": "Turn a model into an edit with a delta, or back.",
    "sample": "Draw images from a model.",
    "verify": "Measure an edit: what is gone, what is kept, how sure that is.",
    "certify": "Make an edit's certificate again, from weights and text states.",
    "merge": "Compose a verification's report from its shards.",
    "judge": "Measure how often a judge is right, on labelled pictures.",
    "bench": "Compare methods on tasks, and write one page of it.",
    "rate": "Let people judge pictures, and the judges by them.",
    "reproduce": "Draw a verification again, and compare it with what was drawn.",
    "attest": "Sign what was verified, and of what the edit was made.",
}


WORDS = "tracelang.words"
"""Where the context's `meta` keeps the command line as it was typed, a tuple of words."""


class Commands(click.Group):
    """The commands of the table above; a user's mistake ends in a message, never in a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        with guarded():
            return super().main(*args, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = ("tracec", *args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            with without_collecting():
                command: click.Command = import_module(_module(cmd_name)).command
        except ModuleNotFoundError as error:
            raise click.ClickException(_missing(cmd_name, error.name or "")) from error
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            raise click.UsageError(f"no command is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """As click puts it; where no line has to be wrapped, without what wraps lines, a tenth of the time of help."""
        ctx.terminal_width = _width()
        told = [one for param in self.get_params(ctx) if (one := param.get_help_record(ctx))]
        lines = [f"Usage: {ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))}", "", f"  {self.help}"]
        for title, rows in (("Options", told), ("Commands", list(COMMANDS.items()))):
            wide = max(len(name) for name, _ in rows) + 2
            lines += ["", f"{title}:", *(f"  {name:{wide}}{text}" for name, text in rows)]
        return "\n".join(lines) if max(map(len, lines)) <= ctx.terminal_width else super().get_help(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ValueError as error:
            from tracelang.diagnostics import CompileError  # not for `--help`, which meets none

            if not isinstance(error, CompileError):
                raise
            show(error.diagnostics)
            ctx.exit(1)
        except ModuleNotFoundError as error:
            module = (error.name or "tracelang").partition(".")[0]
            if module.startswith("tracelang") or module in sys.stdlib_module_names:
                raise
            raise click.ClickException(_missing(ctx.invoked_subcommand or "tracec", module)) from error


def _module(name: str) -> str:
    return f"tracelang.cli.{name}_" if iskeyword(name) or name in BUILT_IN else f"tracelang.cli.{name}"


def _width() -> int:
    """How wide help is, by click's own rule; click would ask `shutil` for it, which brings four compressors."""
    columns = os.environ.get("COLUMNS", "")
    wide = int(columns) if columns.isdecimal() else 0
    if not wide:
        try:
            wide = os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
        except (AttributeError, OSError, ValueError):
            wide = 80
    return max(min(wide, 80) - 2, 50)


def show(findings: Any) -> None:
    """Print findings to standard error, in colour on a terminal."""
    import shutil

    from tracelang.diagnostics.human import render

    terminal = sys.stderr.isatty()
    colour = terminal and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size().columns if terminal else None
    click.echo(render(findings, colour=colour, width=width), err=True, nl=False, color=colour)


def _missing(command: str, module: str) -> str:
    if module.startswith("tracelang"):
        return f"`{command}` is not part of this installation"
    return f"`{command}` needs {module}: pip install 'tracelang[run]'"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "-V", "--version", package_name="tracelang", prog_name="tracec")
def main() -> None:
    """Compile and apply recipes that remove concepts from text-to-image models."""
