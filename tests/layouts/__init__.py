"""Checkpoints of every layout that people hold, made from configs alone: exact names, shapes and dtypes, random values.

`configs` says what a kind of model is, `checkpoint` draws its tensors, `folder` and `single` write them as a diffusers
folder or as one file in the original names (`ldm`, `bfl`), `odd` makes what has to be refused. At size `tiny` a model
is some hundred kilobytes and runs; at size `true` names, shapes and headers are the published ones, and the values
real bytes or holes in a sparse file. `python -m tests.layouts KIND PATH` writes one.
"""
