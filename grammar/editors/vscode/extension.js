// Starts `tracec lsp`, and says how to get it where there is none.
"use strict";

const { commands, window, workspace } = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

function made() {
  const settings = workspace.getConfiguration("erase");
  const [command, ...words] = settings.get("command");
  const root = settings.get("root");
  const args = [...words, "lsp", ...(root ? ["--root", root] : [])];
  return new LanguageClient(
    "erase",
    "Erase",
    { command, args, transport: TransportKind.stdio },
    {
      documentSelector: [{ language: "erase" }, { pattern: "**/*.{txt,csv}", scheme: "file" }],
      synchronize: { fileEvents: workspace.createFileSystemWatcher("**/*.{erase,txt,csv,toml}") },
    },
  );
}

async function start() {
  client = made();
  try {
    await client.start();
  } catch (error) {
    window.showErrorMessage(
      `Erase: ${error.message}. Install it with pip install 'tracelang[lsp]', or set erase.command to where it lies.`,
    );
  }
}

async function stop() {
  const one = client;
  client = undefined;
  if (one?.isRunning()) {
    await one.stop();
  }
}

async function activate(context) {
  const restart = async () => {
    await stop();
    await start();
  };
  context.subscriptions.push(
    commands.registerCommand("erase.restart", restart),
    workspace.onDidChangeConfiguration((event) => event.affectsConfiguration("erase") && restart()),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
