"""The terms of a `steer` pass: one file and one class each, named alike. The folder is the list of them."""
