"""What to run. tty: through a terminal. session: typed at an interactive shell in a terminal."""

T = ["torch", "scikit-learn", "numpy"]


def one(name, env, script, args="", dest="train.py", versions=(), cmd=None, files=None, **more):
    return {"name": name, "env": env, "files": files or [(script, dest)], "versions": list(versions) or T,
            "cmd": cmd or f"python {dest} {args}".strip(), **more}


RUNS = [
    one("torch_epoch_pipes", "a", "torch_print.py"),
    one("torch_bar_pipe", "a", "torch_tqdm.py", "--epochs 4 --sleep 0.12", versions=["torch", "tqdm"]),
    one("torch_bar_nested_tty", "a", "torch_tqdm.py", "--nested --epochs 6", versions=["torch", "tqdm"], tty=True, cols=120),
    one("torch_bar_ctrlc_tty", "a", "torch_tqdm.py", "--epochs 20 --sleep 0.05", versions=["torch", "tqdm"], session=True, cols=110,
        keys=[(rb"Epoch 4/20:  [3-9]", b"\x03", 0.05)]),
    one("torch_imagenet_meters", "a", "torch_imagenet.py", dest="main.py", cmd="python main.py 2>&1"),
    one("torch_logging_time", "a", "torch_logging.py", "--steps 500"),
    one("torch_logging_handled", "a", "torch_logging.py", "--traceback"),
    one("torch_mnist_raise_from", "a", "torch_mnist.py", dest="main.py"),
    one("torch_gpt_iters", "a", "torch_gpt.py", "--iters 250", versions=["torch"]),
    one("torch_gpt_timeout", "a", "torch_gpt.py", versions=["torch"],
        cmd="timeout -v 8 python train.py --iters 5000 --pause 0.02 --eval-interval 25; echo \"exit status: $?\""),
    one("torch_gpt_term", "a", "torch_gpt.py", versions=["torch"],
        cmd="python train.py --iters 5000 --pause 0.05 & pid=$!; (sleep 9; kill -TERM $pid) & wait $pid; echo \"train.py ended with status $?\""),
    one("torch_gpt_kill9_tty", "a", "torch_gpt.py", "--pause 0.02 --eval-interval 40 --iters 2000", versions=["torch"], session=True,
        keys=[(rb"iter 170", 9, 0.1)]),
    one("torch_worker_raises", "a", "torch_worker.py", versions=["torch"]),
    one("torch_shape_mismatch", "a", "torch_shape.py", versions=["torch", "tqdm"]),
    one("torchrun_two_ranks", "a", "torch_ddp.py", versions=["torch"], cmd="torchrun --nproc_per_node=2 --master_addr=127.0.0.1 --master_port=29511 train.py"),
    one("torchrun_rank_fails", "a", "torch_ddp.py", versions=["torch"],
        cmd="torchrun --nproc_per_node=2 --master_addr=127.0.0.1 --master_port=29512 train.py --crash"),
    one("torch_nan_goes_on", "a", "torch_nan.py", versions=["torch"]),
    one("torch_nan_stops", "a", "torch_nan.py", "--stop --lr 2.5", versions=["torch"]),
    one("torch_cuda_oom", "a", "torch_memory.py", "--how cuda", versions=["torch"]),
    one("torch_host_oom", "a", "torch_memory.py", versions=["torch"], cmd="ulimit -v 9000000; python train.py --how host"),
    one("numpy_too_large", "a", "torch_memory.py", "--how numpy", versions=["torch", "numpy"]),
    one("torch_bytes_oom_tty", "a", "torch_memory.py", versions=["torch"], session=True, cmd="ulimit -v 7000000; python train.py --how list"),
    one("torch_segfault_script", "a", "torch_segv.py", versions=["torch"], files=[("torch_segv.py", "train.py"), ("run_train.sh", "run.sh")],
        cmd="bash run.sh"),
    one("torch_segfault_tty", "a", "torch_segv.py", "--faulthandler", versions=["torch"], session=True),
    one("torch_bad_argument", "a", "torch_args.py", versions=["torch"], cmd="python train.py --lr 1e-3x --arch resnet18"),
    one("torch_no_module", "a", "torch_import.py", versions=["torch"]),
    one("torch_class_nan", "a", "torch_perclass.py"),
    one("torch_scaler_overflow", "a", "torch_scaler.py", versions=["torch"]),
    one("torch_jsonl", "a", "torch_json.py", structured=["metrics.jsonl"]),
    one("torch_tensorboard", "a", "torch_tb.py", versions=["torch", "tensorboard"], structured=["runs/**/*"]),
    one("wandb_offline", "a", "wandb_offline.py", versions=["torch", "wandb"], environ={"WANDB_MODE": "offline"},
        structured=["wandb/offline-run-*/*", "wandb/offline-run-*/files/*"]),
    one("reinforce_episodes", "a", "cleanrl_like.py", versions=["torch", "gymnasium"], dest="ppo.py"),
]
