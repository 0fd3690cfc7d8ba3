#!/bin/sh
# Makes the samples anew, in /home/user/samples, from where they are copied: sh make.sh PYTHON [NAME...]
# PYTHON has torch, tensorboard, tensorboardX, wandb, lightning, transformers, accelerate, keras, stable-baselines3,
# catboost and mlflow-skinny. Only by name: ultralytics_csv (ultralytics), keras_tensorboard (tensorflow, tensorboard, keras).
here=$(cd "$(dirname "$0")" && pwd)
python=$1
shift
mkdir -p /home/user/samples && cd /home/user/samples || exit 1
for script in ${*:-torch_tensorboard tensorboardx wandb_offline lightning_csv hf_trainer keras_logs sb3_logs catboost_logs detr_log mlflow_store}; do
  HOME=/home/user USER=user PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 "$python" "$here/$script.py" || echo "$script failed"
done
