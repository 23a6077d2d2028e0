"""Models: what a family tells of a checkpoint, what the engine asks of a model, and the kit that families are made of.

`family`, what a backend implements, needs no torch; `protocol`, what it gives (a prompt side, a model), does.
"""
