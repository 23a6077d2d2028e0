"""The passes that are carried out: one file each, named after its kind, and no list beside the folder.

A file says what it `needs`, `"text"` (the prompt side of a model is enough), `"weights"` (that and the unedited
matrices, `options.weight`) or `"model"`, and has one function,
`run(part, plan, model, edit, options)`: the edit with the bound pass on top. A pass that is declared and has no file
here is refused where a plan meets a model.
"""
