"""The extension for VS Code starts the server that there is, for the language that there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lsp.editor import editor
from tracelang.cli import COMMANDS
from tracelang.lsp.server import ENDING, LANGUAGE

ROOT = Path(__file__).parents[2]
VSCODE = ROOT / "grammar" / "editors" / "vscode"
PACKAGE = json.loads((VSCODE / "package.json").read_text("utf-8"))
SETTINGS = PACKAGE["contributes"]["configuration"]["properties"]
CODE = (VSCODE / PACKAGE["main"]).read_text("utf-8")
PAGE = (ROOT / "docs" / "editors.md").read_text("utf-8")

RUN = """
const Module = require("module");
const started = [];
const settings = JSON.parse(process.argv[2]);
const vscode = {
  commands: { registerCommand: (name) => ({ name }) },
  window: { showErrorMessage: (text) => started.push(text) },
  workspace: {
    getConfiguration: () => ({ get: (key) => settings[key] }),
    createFileSystemWatcher: (glob) => glob,
    onDidChangeConfiguration: () => ({}),
  },
};
class LanguageClient {
  constructor(id, name, server, client) { started.push({ id, server, client }); }
  async start() {}
  isRunning() { return true; }
  async stop() {}
}
const stand = { vscode, "vscode-languageclient/node": { LanguageClient, TransportKind: { stdio: 0 } } };
const load = Module._load;
Module._load = (name, ...rest) => stand[name] ?? load(name, ...rest);
const extension = require(process.argv[1]);
const context = { subscriptions: [] };
extension.activate(context).then(() => {
  const commands = context.subscriptions.map((one) => one.name).filter(Boolean);
  console.log(JSON.stringify({ started, commands }));
  return extension.deactivate();
});
"""


def test_what_it_declares_is_what_the_server_knows() -> None:
    (language,) = PACKAGE["contributes"]["languages"]
    assert language["id"] == LANGUAGE and language["extensions"] == [ENDING]
    assert PACKAGE["activationEvents"] == [f"onLanguage:{LANGUAGE}"]
    assert set(re.findall(r'settings\.get\("(\w+)"\)', CODE)) == {name.removeprefix("erase.") for name in SETTINGS}
    assert SETTINGS["erase.command"]["default"] == ["tracec"] and "lsp" in COMMANDS
    assert PACKAGE["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"] == ["erase.command"]
    lock = json.loads((VSCODE / "package-lock.json").read_text("utf-8"))
    assert lock["packages"][""]["dependencies"] == PACKAGE["dependencies"]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_it_starts_the_command() -> None:
    """The extension itself, run by node, with what VS Code would give it."""
    given = json.dumps({"command": ["python", "-m", "x"], "root": "/recipes"})
    run = ["node", "-e", RUN, str(VSCODE / PACKAGE["main"]), given]
    done = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    (one,) = done["started"]
    assert one["server"]["command"] == "python" and one["server"]["args"] == ["-m", "x", "lsp", "--root", "/recipes"]
    assert one["client"]["documentSelector"][0] == {"language": LANGUAGE}
    assert done["commands"] == [command["command"] for command in PACKAGE["contributes"]["commands"]]


def test_the_page_says_what_the_server_can(tmp_path: Path) -> None:
    """Every ability that the page names is one that the server announces, and the other way round."""
    said = {
        "Hover": "hover_provider",
        "Completion": "completion_provider",
        "Go to definition": "definition_provider",
        "References": "references_provider",
        "rename": "rename_provider",
        "Formatting": "document_formatting_provider",
        "Outline": "document_symbol_provider",
        "Fixes": "code_action_provider",
    }
    bold = set(re.findall(r"\*\*([^*]+)\*\*", PAGE))
    assert bold == {*said, "Findings as you type"}
    with editor(tmp_path) as one:
        names = [name for name in dir(one.capabilities) if name.endswith("_provider")]
        able = {name for name in names if getattr(one.capabilities, name) not in (None, False)}
    assert able - {"execute_command_provider"} == set(said.values())
    assert one.capabilities.execute_command_provider.commands == ()


def test_the_snippet_for_neovim() -> None:
    (snippet,) = re.findall(r"```lua\n(.*?)```", PAGE, re.S)
    assert 'cmd = { "tracec", "lsp" }' in snippet and f'extension = {{ {ENDING[1:]} = "{LANGUAGE}" }}' in snippet
    assert f'filetypes = {{ "{LANGUAGE}" }}' in snippet
