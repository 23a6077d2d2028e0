"""Files: validated headers, patched checkpoints, adapters, and the atomic output folder.

`header`, `patch`, `weights`, `output` and `locate` need no torch; `merge`, `folder`, `lora` and `save` do.
"""
