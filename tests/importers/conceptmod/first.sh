python train-esd.py --prompt "barn--|silo=tower|tower#tower:2" --train_method noxattn --iterations 1000 --seed 5
