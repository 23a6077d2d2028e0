"""The compiler is light: no torch, no numpy, no Lark, and nothing at all before it is asked for."""

from __future__ import annotations

import subprocess
import sys

BLOCK = "import sys; sys.modules.update({m: None for m in ('torch', 'numpy', 'diffusers', 'transformers', 'lark')})\n"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_whole_compiler_runs_without_torch() -> None:
    code = """
import tracelang.cli, tracelang.cli.compile, tracelang.cli.explain
from tracelang.plan.explain import explain
plan = tracelang.compile('erase "cat" preserve "dog"')
assert tracelang.compile(explain(plan)).digest == plan.digest
print(plan.method.name)
"""
    assert run(BLOCK + code) == "trace\n"


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, tracelang; print([m for m in sys.modules if m.split('.')[0] in {'tracelang', 'pydantic'}])"
    assert run(code) == "['tracelang']\n"


def test_a_recipe_with_errors_is_reported_without_pydantic() -> None:
    code = """
import sys
from tracelang.plan.compile import compile_with_findings
plan, findings = compile_with_findings('erase "cat" degree 300%')
print(plan, findings[0].code, 'pydantic' in sys.modules)
"""
    assert run(code) == "None TL213 False\n"


def test_every_module_of_the_compiler_is_imported_without_torch() -> None:
    code = """
import importlib, pkgutil, tracelang
for name in ("diagnostics", "syntax", "semantics", "plan"):
    package = importlib.import_module(f"tracelang.{name}")
    for module in pkgutil.walk_packages(package.__path__, f"tracelang.{name}."):
        importlib.import_module(module.name)
print(sum(name.startswith("tracelang.") for name in sys.modules) > 40)
"""
    assert run(BLOCK + code) == "True\n"


def test_a_recipe_brings_the_passes_and_terms_that_it_names_and_no_other() -> None:
    code = """
import sys, tracelang
from tracelang.plan.load import parsed
from tracelang.diagnostics import Source
plan = tracelang.compile('define method m { steer { keep {} } } method m erase "cat"')
assert parsed(Source("x", plan.to_json())) == plan
names = (name.split(".")[2:] for name in sys.modules if name.startswith("tracelang.semantics."))
print(sorted(".".join(name) for name in names if name[0] in ("passes", "terms") and name[1:]))
"""
    assert run(BLOCK + code) == "['passes.steer', 'terms.keep']\n"
