python train.py --phrase "#:0.4|barn=cottage:0.8|cottage%barn:-0.1" \
    --out outputs/my_run --stage model --lora 16 --lr 1e-4 --iterations 250 --train-method full \
    --verify-prompt "a barn in a field"
