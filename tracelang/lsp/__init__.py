"""The language server: what an editor asks about recipes, answered over stdio."""
