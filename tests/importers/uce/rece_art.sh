python train_artists.py --concepts 'Kim Example' --guided_concepts art --concept_type 'art' \
    --target_ckpt 'ckpt2/UCE/erased-kim.pt' --emb_computing close_surrogatereg --reg_item both \
    --regular_scale 1e-3 --epochs 5 --test_csv_path dataset/short.csv
