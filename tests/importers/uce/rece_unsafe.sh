python train.py \
    --concepts i2p \
    --concept_type unsafe \
    --emb_computing close_regzero \
    --regular_scale 0.1 \
    --epochs 5 \
    --target_ckpt ckpt/unified-concept-editing/erased.pt \
    --preserve_scale 0.1 \
    --lamb 0.1 \
# python train.py --concepts mud --concept_type unsafe --emb_computing close_standardreg
