"""Single-file checkpoints: Stable Diffusion's in LDM names and FLUX.1's in BFL's, read and patched without conversion.

A file is given to the rest of the program as a folder in diffusers layout in the user's cache (`prepare`): configs and
tokenizers, and for each component that the file holds a reference to it (`reference`). What a tensor of the file is
called in diffusers, and which of its rows, the tables of `unet`, `autoencoder`, `encoders` and `transformer` say.
"""
