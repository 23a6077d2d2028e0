"""Models: what a family tells of a checkpoint, what the engine asks of a model, and the kit that families are made of.

`family` is what a backend implements, `protocol` what it gives. A family of diffusers pipelines derives from
`pipeline.Pipeline`: `check`, `configs`, `layout` and `weights` read its folder, `diffusion` and `flow` are its clocks,
none of which needs torch; `paths` (text encoders), `prompt_side`, `latents`, `model` and `parts` are what runs.
"""
