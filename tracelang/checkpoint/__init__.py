"""Writing out: patched checkpoints, adapters, the card, and the output folder that appears whole or not at all."""
