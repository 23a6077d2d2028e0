"""The terms of a training loss that are carried out: one file each, named after its kind, and no list beside them.

A file has one function, `target(term, seen, degree)`: what the prediction should become where the teachers predict
`seen`. On which prompts a term is evaluated, its declaration says. The loss is `Σ_terms weight · E ‖pred_θ − target‖²`.

A term that `attends` has four instead: which `tokens` of a prompt are meant, what it `asks` the unedited model, what
that `told`, and the `error` of one row, given what the layers attend to there (`engine/looking.py`).
"""
