"""Files: validated headers, patched checkpoints, adapters, and the atomic output folder.

`header`, `patch`, `weights` and `locate` need no torch; `merge`, `factors`, `lora` and `output` do when they are used.
"""
