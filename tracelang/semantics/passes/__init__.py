"""The passes: one file and one class each, named alike. The folder is the list of them."""
