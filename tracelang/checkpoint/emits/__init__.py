"""The forms in which `apply` writes an edit: one file each, named after what `--emit` calls it (`-` is `_`), and no
list beside the folder.

A file says under which `KEY` the manifest tells of it, what it makes of the base (`RELATION`, in the hub's words), and
whether it is written of an `EMPTY` edit, that changes no matrix. Its functions are

- `refuse(base, plan)`: raise ModelError or OutputError for what can be known before any work;
- `foreseen(asked)`: the room that it will take, an upper bound;
- `write(work, draft)`: put its files into the folder `draft`, which becomes OUT, and tell of them;
- `card(facts, out)`: what the model card says of it, Markdown, from what the manifest holds under `KEY`.
"""
