#!/usr/bin/env bash
# The first generation of flags, with a variable and a continued line.
ARTISTS='Kim Example, Lee Sample'
python train-scripts/train_erase.py --concepts "$ARTISTS" \
  --guided_concept art --preserve_concepts 'Max Muster' \
  --device 'cuda:0' --concept_type art   # --lamb 9 is only a comment
