# Church, English Springer and others, each from a file of UCE's
python train_object.py --concepts 'Church' --concept_type object --target_ckpt "ckpt/UCE/erased-church.pt"
python train_object.py --concepts 'Golf Ball' --concept_type object --target_ckpt "ckpt/UCE/erased-golf-ball.pt" --regular_scale 1e-1
python train_object.py --concepts 'Parachute' --concept_type object --target_ckpt "ckpt/UCE/erased-parachute.pt" --regular_scale 1e-1
