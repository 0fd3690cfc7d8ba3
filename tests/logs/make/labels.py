#!/usr/bin/env python3
"""Write the labels of ../own from the specification below, and check them against the text.

Each entry was written while reading the log. A pattern picks the reports of one metric out of the text
(terminal codes removed, a carriage return counted as a line end); the numbers of the label come from the
text that way, and whatever a pattern cannot say is written out. The project's reader has no part in this.
"""

import hashlib
import json
import math
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
OWN, STRUCT = HERE.parent / "own", HERE.parent / "own_structured"
MADE = json.loads((HERE / "made.json").read_text())
NUM = r"([-+]?(?:\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|nan|inf))"
SPECS = {}
VERSIONS = {"cpp_bad_alloc": {"g++": "12.2.0"}, "torch_bad_argument": {}}


def lab(
    name,
    framework,
    obj=None,
    pat=None,
    step=None,
    progress=None,
    metrics=None,
    fault="none",
    exception=None,
    notes=None,
    **more,
):
    SPECS[name] = dict(
        framework=framework,
        obj=obj,
        pat=pat,
        step=step,
        progress=progress,
        metrics=metrics or {},
        fault=fault,
        exception=exception,
        notes=notes,
        **more,
    )


def text_of(name):
    raw = (OWN / f"{name}.log").read_bytes().decode("utf-8", "replace")
    raw = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)
    return raw.replace("\r\n", "\n").replace("\r", "\n").replace("\b", "")


def num(s):
    s = s.replace(",", "").rstrip(".") if s.lower() not in ("nan", "inf") else s.lower()
    return s if s in ("nan", "inf", "-inf") else (float(s) if re.search(r"[.e]", s, re.I) else int(s))


def reports(text, pat, step=None):
    """[(value, step)] of one metric, the step being the last one printed at or before the value's line end."""
    steps = [(m.start(), num(m.group(1))) for m in re.finditer(step, text)] if step else []
    out = []
    for m in re.finditer(pat.replace("#", NUM), text):
        end = text.find("\n", m.end())
        end = len(text) if end < 0 else end
        before = [s for at, s in steps if at <= m.start()]
        line = [s for at, s in steps if m.start() < at < end]
        own = (
            line[0]
            if line and not any(text.rfind("\n", 0, m.start()) < at <= m.start() for at, _ in steps)
            else (before[-1] if before else None)
        )
        out.append((num(m.group(1)), own))
    return out


def steps(p):
    return None if p is None else {"done": p[0], "total": p[1], "unit": p[2]}


def alt(p):
    if p is None:
        return None
    return {"done": p[0]} if p[1] is None else {"done": p[0], "total": p[1]}


def make(name):
    s, text = SPECS[name], text_of(name)
    made = MADE[name]
    label = {
        "framework": s["framework"],
        "objective": None,
        "final": None,
        "best": None,
        "best_step": None,
        "count": 0,
        "progress": steps(s["progress"]),
        "metrics": {},
        "fault": s["fault"],
        "exception": s["exception"],
    }
    if s["obj"]:
        oname, aliases, direction = s["obj"]
        rows = reports(text, s["pat"], s["step"])
        assert rows, f"{name}: nothing matches {s['pat']}"
        finite = [(v, st) for v, st in rows if not isinstance(v, str)]
        pick = max if direction == "max" else min
        best = s.get("best", pick(v for v, _ in finite) if finite else None)
        at = next((st for v, st in finite if v == best), None)
        label.update(
            objective={"name": oname, "aliases": aliases, "direction": direction},
            final=s.get("final", rows[-1][0]),
            best=best,
            best_step=s.get("best_step", at),
            count=s["count"] if "count" in s else len(rows),
        )
        label["metrics"][oname] = {"final": label["final"], "count": label["count"]}
    for mname, spec in s["metrics"].items():
        mpat, count = spec if isinstance(spec, tuple) else (spec, ())
        rows = reports(text, mpat)
        assert rows, f"{name}: nothing matches {mpat}"
        label["metrics"][mname] = {"final": rows[-1][0], "count": len(rows) if count == () else count}
    for key in ("final_alt", "best_alt", "best_step_alt", "fault_alt", "exception_alt"):
        if s.get(key):
            label[key] = s[key]
    if s.get("progress_alt"):
        label["progress_alt"] = [alt(p) for p in s["progress_alt"]]
    if s["notes"]:
        label["notes"] = s["notes"]
    label["source"] = {
        "made_by": f"make/scripts/{made['script']}",
        "command": made["cmd"],
        "terminal": made["tty"],
        "framework versions": {**VERSIONS.get(name, made["versions"]), "python": "3.11.7"},
    }
    label["trimmed"] = None
    return label, text


def check(name, label, text):
    def there(v):
        if v is None or isinstance(v, str):
            return True
        return any(
            math.isclose(num(m), v, rel_tol=1e-9)
            for m in re.findall(r"\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|\d+", text)
            if not isinstance(num(m), str)
        )

    for v in [
        label["final"],
        label["best"],
        *[m["final"] for m in label["metrics"].values()],
        *label.get("final_alt", []),
        *label.get("best_alt", []),
    ]:
        if isinstance(v, (int, float)):
            assert there(abs(v)), f"{name}: {v} is not in the text"
    for e in [label["exception"], *label.get("exception_alt", [])]:
        assert e is None or e in text, f"{name}: {e!r} is not in the text"
    assert label["fault"] in ("none", "nan", "oom", "cuda_oom", "exception", "killed", "timeout", "interrupted")


EPOCH, STEP, ITER = "epoch", "step", "iteration"

# fmt: off
# --- plain PyTorch -----------------------------------------------------------------------------------------------
P = "PyTorch script"
lab("torch_epoch_pipes", P, ("val acc", ["val_acc", "validation accuracy", "accuracy"], "max"), r"val acc #%", r"Epoch (\d+)/", (14, 14, EPOCH),
    {"train loss": "train loss #", "val loss": "val loss #"}, final_alt=[95.97], notes="percentages; the closing line repeats the best")
lab("torch_bar_pipe", P + ", tqdm", ("val_acc", ["val acc", "validation accuracy"], "max"), "val_acc: #", r"Epoch (\d+)/", (4, 4, EPOCH),
    {"val_loss": "val_loss: #", "loss": (r", loss=#", None), "acc": (r"acc=#", None)}, progress_alt=[(21, 21)],
    notes="in-place bars through a pipe, results between them")
lab("torch_bar_nested_tty", P + ", tqdm", ("val_acc", ["val acc", "validation accuracy"], "max"), "val_acc=#", r"epochs:[^\n]*\| (\d+)/6", (6, 6, EPOCH),
    {"val_loss": ("val_loss=#", None), "loss": (r", loss=#", None)}, count=None, final_alt=[0.871], best_alt=[0.871], best_step_alt=[5],
    progress_alt=[(21, 21)], notes="a bar over epochs and one over batches in a terminal; three digits in the bar, four in the last line")
lab("torch_bar_ctrlc_tty", P + ", tqdm", ("val_acc", ["val acc", "validation accuracy"], "max"), "val_acc: #", r"Epoch (\d+)/20", (4, 20, EPOCH),
    {"val_loss": "val_loss: #", "loss": (r", loss=#", None)}, "interrupted", "KeyboardInterrupt", "Ctrl-C at a shell prompt in batch 9 of epoch 4",
    progress_alt=[(3, 20), (9, 21), (8, 21)])
lab("torch_imagenet_meters", P + " (ImageNet example)", ("Acc@1", ["acc1", "top1", "top-1 accuracy"], "max"), r" \*   Acc@1 #", r"Epoch: \[(\d+)\]", (5, None, EPOCH),
    {"Acc@5": (r" \*   Acc@1 [\d.]+ Acc@5 #", None)}, count=None, progress_alt=[(9, 9), (31, 40)],
    notes="last value and running mean in brackets; the line with a star is the result of an epoch")
lab("torch_logging_time", P + ", logging", ("rmse", ["RMSE", "root mean squared error"], "min"), "rmse=#", r"step=(\d+)", (500, 500, STEP),
    {"mae": "mae=#", "loss": r" loss=#", "grad_norm": "grad_norm=#"}, notes="time stamps and line numbers in brackets")
lab("torch_logging_handled", P + ", logging", ("rmse", ["RMSE", "root mean squared error"], "min"), "rmse=#", r"step=(\d+)", (400, 400, STEP),
    {"mae": "mae=#", "loss": r" loss=#"}, notes="four handled tracebacks of failed uploads; the run ends well")
lab("torch_mnist_raise_from", P + " (MNIST example)", ("Accuracy", ["accuracy", "test accuracy"], "max"), r"Accuracy: \d+/\d+ \(#%\)", r"Epoch: (\d+)", (4, None, EPOCH),
    {"Loss": r"\tLoss: #", "Average loss": "Average loss: #"}, "exception", "MetricError: no name for class 9 in the class map",
    "a fraction with its percentage in brackets; raise ... from a KeyError", exception_alt=["KeyError: 9"], final_alt=[336], best_alt=[336],
    progress_alt=[(1280, 1408)])
GPT = ("val loss", ["val_loss", "validation loss"], "min")
GM = {"train loss": "train loss #", "loss": r"iter \d+: loss #"}
lab("torch_gpt_iters", P + " (nanoGPT style)", GPT, "val loss #", r"step (\d+):", (250, None, ITER), GM)
lab("torch_gpt_timeout", P + " (nanoGPT style)", GPT, "val loss #", r"step (\d+):", (220, None, ITER), GM, "timeout", None,
    "timeout -v ends it: its message and exit status 124", progress_alt=[(200, None)])
lab("torch_quiet_timeout", P + " (nanoGPT style)", GPT, "val loss #", r"step (\d+):", (170, None, ITER), GM, "timeout", None,
    "timeout without a message of its own; the shell says that the limit was passed", progress_alt=[(150, None)])
lab("torch_gpt_term", P + " (nanoGPT style)", GPT, "val loss #", r"step (\d+):", (120, None, ITER), GM, "killed", None,
    "SIGTERM; only the shell's status 143 tells", progress_alt=[(100, None)])
lab("torch_gpt_kill9_tty", P + " (nanoGPT style)", GPT, "val loss #", r"step (\d+):", (170, None, ITER), GM, "killed", None,
    "SIGKILL at an interactive shell, which prints Killed", fault_alt=["oom"], progress_alt=[(160, None)])
lab("torch_term_tty", P + " (nanoGPT style)", GPT, "val loss #", r"step (\d+):", (120, None, ITER), GM, "killed", None,
    "SIGTERM at an interactive shell, which prints Terminated", progress_alt=[(100, None)])
lab("torch_worker_raises", P, ("train_acc", ["train acc", "training accuracy", "accuracy"], "max"), "train_acc: #", r"epoch (\d+)", (5, 20, "batch"),
    {"train_loss": "train_loss: #", "loss": r"\] loss: #"}, "exception", "ValueError: corrupt record at index 417: expected 8 columns, got 7",
    "error in a DataLoader worker, its traceback inside the outer one", exception_alt=["ValueError: Caught ValueError in DataLoader worker process 1."],
    progress_alt=[(2, None), (1, None)])
lab("torch_worker_killed", P, ("train_mse", ["mse", "train loss", "loss"], "min"), "train_mse=#", r"\[(\d+)/6\]", (2, 6, EPOCH), {}, "killed",
    "RuntimeError: DataLoader worker (pid 9213) is killed by signal: Killed.", "a worker process gets SIGKILL, the main process raises",
    fault_alt=["exception", "oom"])
lab("torch_shape_mismatch", P + ", tqdm", ("loss", ["train loss"], "min"), "loss #:", r"train (\d+)", (16, 16, "batch"), {}, "exception",
    "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x324 and 256x10)", "the loss stands in the bar's description", count=None,
    best_step_alt=["*"], progress_alt=[(0, None), (1, None)])
lab("torchrun_two_ranks", P + ", torchrun", ("acc", ["accuracy"], "max"), r"\* epoch \d+: acc #", r"epoch (\d+)", (3, None, EPOCH),
    {"loss": ("loss #", None)}, notes="two ranks interleaved, some lines glued together", progress_alt=[(8, 10)])
lab("torchrun_rank_fails", P + ", torchrun", ("acc", ["accuracy"], "max"), r"\* epoch \d+: acc #", r"epoch (\d+)", (2, None, EPOCH),
    {"loss": ("loss #", None)}, "exception", "KeyError: 3", "rank 1 fails, rank 0 then loses its peer, the launcher adds its own error",
    exception_alt=["[rank1]: KeyError: 3"], progress_alt=[(8, 10), (1, None)])
lab("torch_nan_goes_on", P, ("val_loss", ["val loss", "validation loss"], "min"), "val_loss: #", r"epoch: +(\d+)", (11, None, EPOCH), {"train_loss": "train_loss: #"},
    "nan", None, "nan from epoch 4 to the end, exit status 0, 'Training done'")
lab("torch_nan_stops", P, ("val_loss", ["val loss", "validation loss"], "min"), "val_loss: #", r"epoch: +(\d+)", (3, None, EPOCH), {"train_loss": "train_loss: #"},
    "nan", None, "'Loss is nan, stopping training', exit status 1; every printed metric line is finite", fault_alt=["exception"])
ACC = {"acc": "acc: #"}
SL = ("loss", ["train loss"], "min")
lab("torch_cuda_oom", P, SL, "loss: #", r"Step +(\d+)/", (120, 200, STEP), ACC, "cuda_oom", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.34 GiB.",
    "raised by the script with PyTorch's own class and wording, no GPU here")
lab("torch_host_oom", P, SL, "loss: #", r"Step +(\d+)/", (120, 200, STEP), ACC, "oom",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory", "host memory behind a RuntimeError (ulimit)")
lab("numpy_too_large", P + ", NumPy", SL, "loss: #", r"Step +(\d+)/", (120, 200, STEP), ACC, "oom",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 10.5 TiB for an array with shape (1200000, 1200000) and data type float64")
lab("torch_bytes_oom_tty", P, SL, "loss: #", r"Step +(\d+)/", (120, 200, STEP), ACC, "oom", "MemoryError", "a bare MemoryError without a message, shell prompts around it")
MSE = ("mse", ["train mse", "loss"], "min")
lab("torch_segfault_script", P, MSE, "mse = #", r"epoch (\d+)/", (13, 20, EPOCH), {}, "killed", None, "the message of a shell script: run.sh: line 2: ... Segmentation fault")
lab("torch_segfault_tty", P, MSE, "mse = #", r"epoch (\d+)/", (13, 20, EPOCH), {}, "killed", "Fatal Python error: Segmentation fault",
    "faulthandler's report, then the shell's", fault_alt=["exception"])
lab("torch_bad_argument", "argparse", fault="exception", exception="train.py: error: argument --lr: invalid float value: '1e-3x'",
    exception_alt=["error: argument --lr: invalid float value: '1e-3x'"], notes="usage text and exit status 2, no traceback")
lab("torch_no_module", P, fault="exception", exception="ModuleNotFoundError: No module named 'models'")
lab("torch_class_nan", P, ("mIoU", ["miou", "mean IoU"], "max"), "mIoU: #", r"Epoch\(val\) \[(\d+)\]", (8, 8, EPOCH), {"aAcc": "aAcc: #", "loss": "loss: #"},
    notes="a class called nan and one whose scores are nan, in a table per epoch")
lab("torch_scaler_overflow", P + " (Megatron style lines)", ("lm loss", ["loss", "train loss"], "min"), r"lm loss: #", r"iteration +(\d+)/", (115, 120, ITER),
    {"grad norm": "grad norm: #"}, notes="skipped steps of the loss scaler and early nan and inf gradient norms are no fault")
lab("torch_jsonl", P + ", JSON lines", ("val_auc", ["auc", "AUC"], "max"), r'"val_auc": #', r'"epoch": (\d+)', (9, None, EPOCH),
    {"train_loss": r'"train_loss": #', "val_loss": r'"val_loss": #'})
lab("torch_tensorboard", P + ", TensorBoard", ("val/mse", ["val mse", "mse"], "min"), "val/mse=#", r"epoch +(\d+)", (19, None, EPOCH))
lab("wandb_offline", P + ", Weights & Biases", ("accuracy", ["val/accuracy", "val_accuracy", "acc"], "max"), "accuracy=#", r"Epoch (\d+)", (14, None, EPOCH),
    {"loss": r" loss=#"}, count=None, notes="the summary of the logger stands before the epoch lines (two streams into one pipe)")
lab("reinforce_episodes", P + " (CleanRL style)", ("episodic_return", ["episode return", "return", "reward"], "max"), "episodic_return=#", r"global_step=(\d+)", (6088, None, STEP),
    {"SPS": "SPS: #"})
lab("torch_no_cuda", P, ("train_mse", ["mse", "train loss", "loss"], "min"), "train_mse=#", r"\[(\d+)/6\]", (2, 6, EPOCH), {}, "exception",
    "AssertionError: Torch not compiled with CUDA enabled")
lab("torch_alarm", P, ("train_mse", ["mse", "train loss", "loss"], "min"), "train_mse=#", r"\[(\d+)/6\]", (3, 6, EPOCH), {}, "exception",
    "TimeoutError: no step finished within 3 s", "a watchdog inside the program raises", fault_alt=["timeout"])
lab("torch_disk_full", P, ("train_mse", ["mse", "train loss", "loss"], "min"), "train_mse=#", r"\[(\d+)/6\]", (4, 6, EPOCH), {}, "exception",
    "RuntimeError: basic_ios::clear: iostream error", "the checkpoint meets a full disk")
lab("torch_memory_limit_kill", P, ("train_mse", ["mse", "train loss", "loss"], "min"), "train_mse=#", r"\[(\d+)/6\]", (3, 6, EPOCH), {}, "killed", None,
    "the kernel ends it at a memory limit; the log says only Killed and 137", fault_alt=["oom"])
lab("cpp_bad_alloc", "C++ program", ("error rate", ["error", "error_rate"], "min"), r"error rate = #%", r"epoch (\d+) of", (6, 10, EPOCH), {"avg. loss": r"avg\. loss = #"},
    "oom", "terminate called after throwing an instance of 'std::bad_alloc'", "no Python; 'epoch 6 of 10'; Aborted, status 134",
    exception_alt=["std::bad_alloc"], fault_alt=["exception", "killed"])
# --- Hugging Face, Lightning, Ignite ... ------------------------------------------------------------------------
HF = "Hugging Face Trainer"
HO = ("eval_accuracy", ["accuracy", "eval accuracy"], "max")
HE = r"'epoch': '([\d.]+)'"
HM = {"eval_loss": ("'eval_loss': '#'", None), "eval_f1": ("'eval_f1': '#'", None), "loss": r"\{'loss': '#'", "learning_rate": "'learning_rate': '#'"}
HN = "dict lines with quoted numbers between the redraws; a table of the last evaluation at the end"
lab("hf_trainer_pipe", HF, HO, "'eval_accuracy': '#'", HE, (120, 120, STEP), HM, notes=HN, count=None, best_step_alt=[120], progress_alt=[(4, 4), (4, None)])
lab("hf_trainer_tty", HF, HO, "'eval_accuracy': '#'", HE, (120, 120, STEP), HM, notes=HN, count=None, best_step_alt=[120], progress_alt=[(4, 4), (4, None)])
lab("hf_trainer_metric_fails", HF, HO, "'eval_accuracy': '#'", HE, (60, 120, STEP), {"loss": r"\{'loss': '#'", "eval_loss": "'eval_loss': '#'"}, "exception",
    "ValueError: operands could not be broadcast together with shapes (200,) (199,)", "bars are redrawn after the traceback",
    best_step_alt=[30], progress_alt=[(0, 4), (2, None)])
lab("hf_trainer_ctrlc_tty", HF, HO, "'eval_accuracy': '#'", HE, (49, 120, STEP), {"loss": r"\{'loss': '#'", "eval_loss": "'eval_loss': '#'"}, "interrupted",
    "KeyboardInterrupt", "Ctrl-C at a prompt, a long traceback, one more redraw", best_step_alt=[30], progress_alt=[(1.333, None)])
lab("sentence_transformers_sts", "Sentence Transformers", ("eval_sts-dev_spearman_cosine", ["spearman_cosine", "sts-dev_spearman_cosine", "spearman"], "max"),
    "spearman_cosine': '#'", HE, (60, 60, STEP), {"eval_loss": "'eval_loss': '#'", "loss": r"\{'loss': '#'", "eval_sts-dev_pearson_cosine": "pearson_cosine': '#'"},
    best_step_alt=[20], progress_alt=[(10, 10), (3, None)])
lab("trl_sft_tty", "TRL SFTTrainer", ("eval_loss", ["eval loss", "validation loss"], "min"), "'eval_loss': '#'", HE, (40, 40, STEP),
    {"loss": r"\{'loss': '#'", "eval_mean_token_accuracy": "'eval_mean_token_accuracy': '#'"}, best_step_alt=[40], progress_alt=[(3, 3), (1.667, None)])
LO = ("val_acc", ["val acc", "validation accuracy"], "max")
LM = {"train_loss": ("train_loss=#", None), "val_loss": ("val_loss=#", None)}
LP = "PyTorch Lightning"
lab("lightning_pipe", LP, LO, "val_acc=#", r"Epoch (\d+):", (4, None, EPOCH), LM, count=None, final_alt=[0.8221], best_alt=[0.8221],
    progress_alt=[(10, 10), (5, 5), (3, 3)], notes="epochs count from 0; numbers of the last epoch stay in the bar of the next")
lab("lightning_tty", LP, LO, "val_acc=#", r"Epoch (\d+):", (4, None, EPOCH), LM, count=None, final_alt=[0.8221], best_alt=[0.8221],
    progress_alt=[(10, 10), (5, 5), (3, 3)], notes="as lightning_pipe, in a terminal")
lab("lightning_rich_tty", LP + ", Rich", LO, "val_acc: #", r"Epoch (\d+)/", (3, 3, EPOCH), {"train_loss": ("train_loss: #", None), "val_loss": ("val_loss: #", None)}, count=None,
    final_alt=[0.7776], best_alt=[0.7776], progress_alt=[(10, 10), (4, 4), (3, None)], notes="Rich redraws two lines at a time with cursor moves; 'Epoch 3/3' is the fourth of four")
lab("lightning_nan_stop", LP, ("val_loss", ["val loss", "validation loss"], "min"), r"(?:val_loss=|best score: )(nan|[\d]+\.\d+)", r"Epoch (\d+):", (2, None, EPOCH),
    {"train_loss": ("train_loss=(nan|\\d+\\.\\d+)", None), "val_acc": ("val_acc=#", None)}, "nan", None,
    "printed as nan.0 and inf.0; early stopping sees the nan and ends the run with status 0", count=None, final="nan", best_alt=[2.02], progress_alt=[(10, 10), (3, 3)])
lab("lightning_attr_error_rich_tty", LP + ", Rich", LO, "val_acc: #", r"Epoch (\d+)/", (2, 4, EPOCH), {"val_loss": ("val_loss: #", None)}, "exception",
    "AttributeError: 'Trainer' object has no attribute 'schedulers'", "traceback after Rich's bar in a terminal", count=None, best_step=1, best_step_alt=[2],
    progress_alt=[(0, 10), (1, 4)])
lab("lightning_ctrlc_tty", LP, LO, r"val_acc=(0\.\d+)", r"Epoch (\d+):", (2, None, EPOCH), {"train_loss": (r"train_loss=#", None), "val_loss": ("val_loss=#", None)},
    "interrupted", "KeyboardInterrupt", "no traceback, only Lightning's message; the bar is cut at the width of the terminal, so 'val_acc=0' is a cut number",
    exception_alt=["Detected KeyboardInterrupt, attempting graceful shutdown ..."], count=None, best_step_alt=[2], progress_alt=[(0, 10), (1, None), (3, 3)])
lab("ignite_logging", "PyTorch Ignite", ("Avg accuracy", ["accuracy", "val accuracy", "validation accuracy"], "max"), "Avg accuracy: #", r"Epoch: (\d+)", (6, None, EPOCH),
    {"Avg loss": "Avg loss: #"})
lab("ignite_bar_tty_fails", "PyTorch Ignite", ("Avg accuracy", ["accuracy", "val accuracy", "validation accuracy"], "max"), "Avg accuracy: #", r"Epoch: (\d+)", (3, 6, EPOCH),
    {"Avg loss": "Avg loss: #", "loss": (r"loss=#", None)}, "exception", "RuntimeError: Parent directory checkpoints does not exist.", progress_alt=[(9, 10), (10, 10)])
lab("sb3_ppo", "Stable-Baselines3", ("ep_rew_mean", ["rollout/ep_rew_mean", "episode reward", "reward"], "max"), r"ep_rew_mean +\| #", r"_never_(\d)", (6144, None, STEP),
    {"loss": r"\|    loss +\| #", "value_loss": r"value_loss +\| #", "approx_kl": r"approx_kl +\| #"}, best_step=6144, best_step_alt=[12], progress_alt=[(12, None)],
    notes="boxes; the step stands below the value")
lab("sb3_dqn_eval", "Stable-Baselines3", ("mean_reward", ["eval/mean_reward", "episode_reward", "reward"], "max"), r"mean_reward +\| #", r"Eval num_timesteps=(\d+)", (3000, None, STEP),
    {"loss": r"\|    loss +\| #", "ep_rew_mean": r"ep_rew_mean +\| #"}, progress_alt=[(280, None)], notes="an evaluation line and a box per evaluation, boxes of the rollouts between")
SO = ("valid_acc", ["val_acc", "validation accuracy"], "max")
SM = {"train_loss": r"\n +\d+ +#", "valid_loss": r"\n +\d+ +[\d.]+ +[\d.]+ +[\d.]+ +#", "valid_f1": r"\n +\d+ +[\d.]+ +[\d.]+ +#"}
lab("skorch_pipe", "skorch", SO, r"\n +\d+ +[\d.]+ +#", r"\n +(\d+) ", (12, None, EPOCH), SM, notes="a table with coloured cells, colours kept in the pipe")
lab("skorch_tty_dtype", "skorch", SO, r"\n +\d+ +[\d.]+ +#", r"\n +(\d+) ", (12, None, EPOCH), SM, "exception",
    "RuntimeError: mat1 and mat2 must have the same dtype, but got Double and Float", "training ends well, predict fails")
PO = ("val_acc", ["val acc", "validation accuracy"], "max")
for n, t in (("poutyne_pipe", "a pipe"), ("poutyne_tty", "a terminal")):
    lab(n, "Poutyne", PO, r"Val steps: [^\n]*val_acc: #", r"Epoch: (\d+)/", (6, 6, EPOCH), {"val_loss": (r"Val steps: [^\n]*val_loss: #", None)}, count=None, best_step_alt=["*"],
        progress_alt=[(9, 9), (20, 20)], notes=f"through {t}; the bar shows the value of one batch under the same name, the last redraw that of the epoch", batch_max=r"val_acc: #")
lab("tabnet_auc", "pytorch-tabnet", ("valid_accuracy", ["valid accuracy", "validation accuracy", "accuracy"], "max"), r"\| valid_accuracy: #", r"epoch (\d+)", (6, None, EPOCH),
    {"loss": r"\| loss: #", "valid_auc": "valid_auc: #", "train_auc": "train_auc: #"}, final_alt=[0.24852], notes="aligned columns, epochs from 0, early stopping")
KO = ("val_accuracy", ["val acc", "val_acc", "validation accuracy"], "max")
KN = "a progress bar with backspaces or redraws; evaluate() prints accuracy and loss once more"
for n, v, f in (("keras_torch_tty", 4, "Keras 3 on PyTorch"), ("keras_jax_pipe", 4, "Keras 3 on JAX")):
    lab(n, f, KO, "val_accuracy: #", r"Epoch (\d+)/", (v, v, EPOCH), {"val_loss": ("val_loss: #", None)}, count=None, notes=KN, progress_alt=[(17, 17), (20, 20)])
lab("keras_torch_lines", "Keras 3 on PyTorch", KO, "val_accuracy: #", r"Epoch (\d+)/", (8, 8, EPOCH), {"val_loss": "val_loss: #"}, progress_alt=[(17, 17), (20, 20)],
    notes="verbose=2; evaluate() prints accuracy and loss once more")
lab("keras_jax_fails", "Keras 3 on JAX", KO, "val_accuracy: #", r"Epoch (\d+)/", (3, 5, EPOCH), {"val_loss": "val_loss: #", "accuracy": "- accuracy: #", "loss": "- loss: #"},
    progress_alt=[(2, 5), (20, 20)], fault="exception", exception="ValueError: Input 0 with name 'None' of layer 'dense' is incompatible with the layer",
    notes="a note of JAX follows the exception line")
lab("keras_jax_nan", "Keras 3 on JAX", ("loss", ["train loss"], "min"), r"loss: #", r"Epoch (\d+)/", (1, 5, EPOCH), {}, "nan", None,
    "TerminateOnNaN ends training in epoch 1, the script goes on to evaluate and exits with 0", count=None, progress_alt=[(17, 17), (20, 20)])
lab("accelerate_two_ranks", "Accelerate, torchrun", ("accuracy", ["acc", "val accuracy"], "max"), r"'accuracy': #", r"epoch (\d+): \{", (64, 64, STEP), {}, progress_alt=[(3, None), (62, 64)],
    notes="logging, prints of two ranks and a bar on one line")
# --- trees and classic learning --------------------------------------------------------------------------------
lab("xgboost_early_stop", "XGBoost", ("eval-auc", ["auc", "eval auc", "val auc"], "max"), "eval-auc:#", r"\[(\d+)\]\t", (13, None, ITER),
    {"train-logloss": "train-logloss:#", "eval-logloss": "eval-logloss:#", "train-auc": "train-auc:#"}, final_alt=[0.880276], notes="early stopping; the best is said once more at the end")
lab("xgboost_bad_label", "XGBoost", ("eval-logloss", ["logloss", "eval logloss"], "min"), "eval-logloss:#", r"\[(\d+)\]\t", (9, None, ITER),
    {"train-logloss": "train-logloss:#", "eval-auc": "eval-auc:#"}, "exception", "xgboost.core.XGBoostError: [02:51:56]", "a C++ stack trace follows the exception line")
LB = ("valid_0's l2", ["valid_0 l2", "valid l2", "l2"], "min")
lab("lightgbm_early_stop", "LightGBM", LB, "valid_0's l2: #", r"\[(\d+)\]\t", (45, None, ITER), {}, final=3439.6, final_alt=[3405.06], count=None, progress_alt=[(36, None)],
    notes="warnings with -inf; the line of the best iteration closes the log")
lab("lightgbm_shape_error", "LightGBM", LB, "valid_0's l2: #", r"\[(\d+)\]\t", (30, None, ITER), {}, "exception",
    "lightgbm.basic.LightGBMError: The number of features in data (7) is not the same as it was in training data (10).",
    "the library's [Fatal] line stands at the head of the log (two streams into one pipe)")
lab("catboost_auc", "CatBoost", ("test", ["AUC", "auc", "test auc"], "max"), r"test: #", r"\n(\d+):", (59, None, ITER), {}, best=0.9996055, best_step=22, final_alt=[0.9996055, 0.9996055227],
    best_alt=[0.9996055227], progress_alt=[(60, None)], notes="the best stands in its own column with the iteration in brackets, on an iteration that is not printed")
lab("catboost_error", "CatBoost", ("test", ["RMSE", "rmse", "test rmse"], "min"), r"test: #", r"\n(\d+):", (39, None, ITER), {"learn": r"learn: #"}, "exception",
    "_catboost.CatBoostError: catboost/libs/data/model_dataset_compatibility.cpp:93: Feature 0 from pool must be Float.", best=53.9319370, best_step=38, best_alt=[53.93193702],
    final_alt=[53.93193702], progress_alt=[(40, None)], notes="training ends well, predict fails")
lab("sklearn_mlp", "scikit-learn MLPClassifier", ("Validation score", ["validation score", "val score"], "max"), "Validation score: #", r"Iteration (\d+)", (29, None, ITER),
    {"loss": "loss = #"}, notes="the score stands on the line after its iteration")
lab("sklearn_gbdt_table", "scikit-learn GradientBoosting", ("Train Loss", ["train loss", "loss"], "min"), r"\n +\d+ +#", r"\n +(\d+) ", (40, None, ITER),
    {"OOB Improve": r"\n +\d+ +\S+ +#", "accuracy on test": "accuracy on test: #"})
lab("sklearn_grid", "scikit-learn GridSearchCV", ("score", ["CV score", "accuracy"], "max"), "score=#", None, (3, 3, "fold"), {}, best_step=None, final_alt=[0.9760, 0.9822],
    best_alt=[0.9760], progress_alt=[(18, 18), None, (18, None), (10, None)], notes="one line a fit; no step is printed")
lab("sklearn_grid_failed_fits", "scikit-learn GridSearchCV", ("score", ["CV score", "accuracy"], "max"), "score=#", None, (3, 3, "fold"), {}, best_step=None, final_alt=[0.88, 0.912],
    progress_alt=[(12, 12), None, (12, None)], notes="fits of a wrong setting fail and score nan, a traceback stands in a warning, the search goes on", fault_alt=["nan"])
lab("sklearn_sgd", "scikit-learn SGDClassifier", ("Objective", ["objective", "loss"], "min"), "Objective: #", r"-- Epoch (\d+)", (8, None, EPOCH), {"Avg. loss": r"Avg\. loss: #", "Norm": "Norm: #"},
    "exception", "ValueError: classes should include all valid labels that can be in y")
lab("sklearn_forest_tty", "scikit-learn RandomForest", ("test accuracy", ["accuracy", "test acc"], "max"), "test accuracy = #%", None, (60, 60, "tree"), {}, best_step=None)
OT = r"Trial (\d+) finished"
lab("optuna_catch", "Optuna", ("value", ["best value", "objective value"], "max"), r"finished with value: #", OT, (13, None, "trial"), {}, final_alt=[0.9419594545848063],
    notes="a caught error with a traceback, pruned trials and one nan trial; the study goes on")
lab("optuna_fails_tty", "Optuna", ("value", ["best value", "objective value"], "max"), r"finished with value: #", OT, (4, None, "trial"), {}, "exception", "RuntimeError: worker lost its data",
    progress_alt=[(3, None)])
lab("gensim_word2vec", "Gensim Word2Vec", progress=(5, None, EPOCH), progress_alt=[None], notes="no metric, epochs from 0, the size of the corpus in words")
lab("gensim_lda", "Gensim LdaModel", ("perplexity estimate", ["perplexity"], "min"), r"# perplexity estimate", None, (3, None, "pass"), {"per-word bound": r"#\s+per-word bound"},
    best_step=None, progress_alt=[(600, 600)], notes="the value stands before its name; passes from 0")
lab("spacy_train", "spaCy", ("CATS_SCORE", ["cats_score", "textcat score"], "max"), r"\n +\d+ +\d+ +[\d.]+ +#", r"\n +\d+ +(\d+) ", (120, None, STEP),
    {"LOSS TEXTCAT": r"\n +\d+ +\d+ +#"}, final_alt=[0.74], best_alt=[0.79], best_step_alt=[3], progress_alt=[(10, None)], notes="a table with epoch and step columns; SCORE is the same as a fraction")
lab("spacy_missing_corpus_tty", "spaCy", fault="exception", exception="FileNotFoundError: [Errno 2] No such file or directory: 'train.spacy'")
lab("ngboost_lines", "NGBoost", ("val_loss", ["val loss", "validation loss"], "min"), "val_loss=#", r"\[iter (\d+)\]", (110, None, ITER), {"loss": r"\] loss=#"})
# --- JAX --------------------------------------------------------------------------------------------------------
JO = ("test_accuracy", ["test accuracy", "test acc"], "max")
JM = {"train_loss": "train_loss: #", "train_accuracy": "train_accuracy: #", "test_loss": "test_loss: #"}
lab("flax_epochs", "Flax", JO, "test_accuracy: #", r"epoch: +(\d+)", (8, None, EPOCH), JM)
lab("flax_one_nan", "Flax", JO, "test_accuracy: #", r"epoch: +(\d+)", (8, None, EPOCH), JM, "nan", None, "the training loss is nan in epoch 5 only", fault_alt=["none"])
lab("optax_steps", "JAX, Optax", ("mse", ["eval mse", "eval_mse"], "min"), "mse=#", r"step +(\d+)", (500, None, STEP), {"loss": r"\| loss=#", "gnorm": r"gnorm= *#"},
    notes="scientific notation; thousands separators in the speed")
# --- vision -----------------------------------------------------------------------------------------------------
lab("ultralytics_cls_pipe", "Ultralytics YOLO", ("top1_acc", ["top1", "accuracy", "metrics/accuracy_top1"], "max"), r"\n +all +# +\S+ *\n", r"\n +(\d+)/8 ", (8, 8, EPOCH),
    {"loss": (r"\d+/8 +0G +#", None)}, count=None, progress_alt=[(2, 2), (6, 6)], notes="the name stands in a header above the value; the best checkpoint is validated once more at the end")
lab("ultralytics_detect_tty", "Ultralytics YOLO", ("mAP50", ["map50", "mAP@50"], "max"), r"\n +all +6 +6 +\S+ +\S+ +# ", r"\n +(\d+)/4 ", (4, 4, EPOCH),
    {"box_loss": (r"\d+/4 +0G +#", None), "cls_loss": (r"\d+/4 +0G +\S+ +#", None)}, count=None, best_step_alt=["*"], progress_alt=[(1, 1), (2, 2)],
    notes="a terminal too narrow for the header, whose last name is cut; the score stays 0")
lab("ultralytics_tty_no_data", "Ultralytics YOLO", fault="exception", exception="RuntimeError: Dataset 'dataset.yaml' error", exception_alt=["FileNotFoundError: 'dataset.yaml' does not exist"])
FA = r"\n *\d+ +[\d.]+ +[\d.]+ +#"
FM = {"train_loss": r"\n *\d+ +#  +[\d.]+ +[\d.]+", "valid_loss": r"\n *\d+ +[\d.]+ +# +[\d.]+"}
FO = ("accuracy", ["acc", "val accuracy", "valid accuracy"], "max")
lab("fastai_table", "fastai", FO, FA, r"\n *(\d+) +[\d.]+ +[\d.]+ ", (6, 6, EPOCH), FM, progress_alt=[(5, None), (3, 3), (6, None)],
    notes="a table whose rows come between bars, rows from 0, bars from 1")
lab("fastai_index_error_tty", "fastai", FO, FA, r"\n *(\d+) +[\d.]+ +[\d.]+ ", (3, 6, EPOCH), FM, "exception", "IndexError: Exception occured in `Boom` when calling event `after_epoch`:",
    "a message of two lines", progress_alt=[(2, None), (3, 3), (1, None)], exception_alt=["list index out of range while writing the sample sheet"])
lab("timm_lines", "timm", ("Acc@1", ["acc1", "top1", "top-1 accuracy"], "max"), r"Acc@1: +[\d.]+ \( *#\)", r"Train: (\d+) ", (3, None, EPOCH), {}, count=None, progress_alt=[(1, 1), (7, 8)],
    notes="last value and mean in brackets; the checkpoint list and the last line repeat the metric")
MO = ("accuracy", ["acc", "val accuracy"], "max")
lab("mmengine_runner", "MMEngine", MO, r"    accuracy: #", r"Epoch\(val\) \[(\d+)\]", (4, None, EPOCH), {"loss": " loss: #"}, progress_alt=[(4, 4), (15, 16)],
    notes="a long header of versions and settings before the run")
lab("mmengine_assert", "MMEngine", ("loss", ["train loss"], "min"), " loss: #", r"Epoch\(train\) \[(\d+)\]", (15, 16, ITER), {}, "exception", "AssertionError: batch of 20 is smaller than 32",
    best_step_alt=[15], progress_alt=[(1, None)])
lab("avalanche_naive", "Avalanche", ("Top1_Acc_Stream/eval_phase/test_stream/Task000", ["Top1_Acc_Stream", "stream accuracy"], "max"),
    "Top1_Acc_Stream/eval_phase/test_stream/Task000 = #", None, (4, 4, "batch"),
    {"Loss_Stream/eval_phase/test_stream/Task000": "Loss_Stream/eval_phase/test_stream/Task000 = #", "Top1_Acc_Epoch/train_phase/train_stream/Task000": "Top1_Acc_Epoch/train_phase/train_stream/Task000 = #"},
    best_step=None, progress_alt=[(1, None), (10, 10)], notes="long names with slashes; two experiences, each with its own epochs from 0")
# --- the rest ---------------------------------------------------------------------------------------------------
lab("pyg_gcn", "PyTorch Geometric", ("Val", ["val", "val acc", "validation accuracy"], "max"), " Val: #", r"Epoch: (\d+)", (30, None, EPOCH), {"Loss": "Loss: #", "Train": "Train: #", "Test": "Test: #"})
lab("flair_import_error", "Flair", fault="exception", exception="ImportError: cannot import name 'LayoutLMv2FeatureExtractor' from 'transformers'",
    notes="a library that does not fit the installed version of another")
lab("gluonts_feedforward", "GluonTS on Lightning", ("train_loss", ["train loss", "loss"], "min"), r"'train_loss' reached #", r"Epoch (\d+),", (3, 3, EPOCH), {}, count=None, final_alt=[1.216], best_alt=[1.216],
    best_step_alt=[40], progress_alt=[(10, None), (4, 4), (40, None), (3, None)], notes="the value stands in the sentence of the checkpoint; the best in brackets")
lab("neuralforecast_nhits", "NeuralForecast on Lightning", ("valid_loss", ["val_loss", "validation loss"], "min"), r"valid_loss:\s*#", r"Epoch (\d+)/", (59, None, EPOCH), {}, count=None,
    progress_alt=[(60, 60), (1, 1), (59, -2)], notes="Rich without a terminal: one drawing at the end, names and values cut over lines, 'Epoch 59/-2'")
lab("tianshou_dqn", "Tianshou", ("test_reward", ["reward", "test reward"], "max"), r"test_reward: #", r"(?:#| in #)(\d+)", (600, 600, STEP), {}, count=None, best_step=3,
    progress_alt=[(3, None), (1792, None), (1800, None)], notes="mean and deviation; best_reward repeats the best; a bar per epoch")
lab("tensorflow_fit", "TensorFlow Keras", ("val_loss", ["val loss", "validation loss"], "min"), r" val_loss: #", r"Epoch (\d+)/", (6, 6, EPOCH), {"val_mae": ("val_mae: #", None)}, count=None,
    progress_alt=[(16, 16), (6, None)], notes="the checkpoint callback repeats val_loss in the middle of the bar")
lab("tensorflow_loop_fails", "TensorFlow", ("loss", ["train loss"], "min"), "- loss: #", r"Epoch (\d+) /", (4, 5, EPOCH), {}, "exception",
    "tensorflow.python.framework.errors_impl.InvalidArgumentError: loss check", "a message of several lines")
for n, t in (("paddle_fit_tty", "a terminal with redraws"), ("paddle_fit_lines", "a pipe, one line each")):
    lab(n, "PaddlePaddle", ("acc", ["accuracy", "eval acc", "val acc"], "max"), r"acc: #", r"Epoch (\d+)/", (3, 3, EPOCH), {"loss": ("loss: #", None)}, count=None, progress_alt=[(4, 4), (15, 15)],
        notes=f"{t}; training and evaluation print the same names")


# --- a second round ---------------------------------------------------------------------------------------------
HL = ("loss", ["train loss", "training loss"], "min")
HG = {"grad_norm": "'grad_norm': '#'", "learning_rate": "'learning_rate': '#'"}
lab("hf_gpt_nan_quiet", HF, HL, r"\{'loss': '#'", HE, (3, None, EPOCH), HG, "nan", None, "no bar; the run ends by itself with nan losses", best_step_alt=["*"], progress_alt=[None])
lab("hf_gpt_nan_tty", HF, HL, r"\{'loss': '#'", HE, (60, 60, STEP), HG, "nan", None, "nan from the fifth report on, in quotes, between the redraws of a terminal", best_step_alt=[24],
    progress_alt=[(3, None)])
lab("hf_gpt_index_error", HF, HL, r"\{'loss': '#'", HE, (15, 60, STEP), HG, "exception", "IndexError: index out of range in self", "the bar is drawn once more after the traceback",
    best_step_alt=[12], progress_alt=[(0.6, None), (14, 60)])
lab("jax_array_oom", "JAX", ("mse", ["loss", "train mse"], "min"), r"mse #", r"\[ *(\d+)/30\]", (21, 30, EPOCH), {}, "oom", "jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 1440000000000 bytes.",
    "a note of JAX follows the exception line")
lab("tensorflow_tensor_oom", "TensorFlow Keras", ("loss", ["train loss"], "min"), r"- loss: #", r"Epoch (\d+)/", (3, 3, EPOCH), {}, "oom",
    "tensorflow.python.framework.errors_impl.ResourceExhaustedError:", "on the CPU, 'OOM when allocating tensor'", progress_alt=[(10, 10)])
lab("fabric_anomaly", "Lightning Fabric", ("loss", ["train loss"], "min"), r"loss=#", r"step=(\d+)", (44, None, STEP), {}, "exception",
    "RuntimeError: Function 'AddmmBackward0' returned nan values in its 0th output.", "anomaly mode: a forward traceback in a warning first, then the error", fault_alt=["nan"])
lab("keras_torch_nan_lines", "Keras 3 on PyTorch", ("val_loss", ["val loss", "validation loss"], "min"), "val_loss: #", r"Epoch (\d+)/", (6, 6, EPOCH),
    {"loss": r"- loss: #", "val_mae": "val_mae: #"}, "nan", None, "every report is nan; the run ends by itself", progress_alt=[(12, 12)])
lab("sklearn_mlp_ctrlc_tty", "scikit-learn MLPClassifier", ("loss", ["train loss"], "min"), r"loss = #", r"Iteration (\d+)", (23, None, ITER), {"train score": "train score #"}, "interrupted", None,
    "the library turns Ctrl-C into a warning and the script goes on to its end", fault_alt=["none"])
lab("catboost_ctrlc_tty", "CatBoost", ("test", ["RMSE", "rmse", "test rmse"], "min"), r"test: #", r"\n(\d+):", (1600, None, ITER), {"learn": "learn: #"}, "interrupted", "KeyboardInterrupt")
lab("lightgbm_timeout", "LightGBM", fault="timeout", notes="what Python had buffered is lost; only the message of timeout -v is left", fault_alt=["killed"])
lab("xgboost_kill9", "XGBoost", ("test-rmse", ["rmse", "test rmse"], "min"), "test-rmse:#", r"\[(\d+)\]\t", (35, None, ITER), {"train-rmse": "train-rmse:#"}, "killed", None,
    "SIGKILL, said by a shell script", fault_alt=["oom"])
lab("optuna_ctrlc_tty", "Optuna", ("value", ["best value", "objective value"], "min"), r"finished with value: #", OT, (12, None, "trial"), {}, "interrupted", "KeyboardInterrupt",
    "the traceback is printed twice, as that of the trial and as that of the run", progress_alt=[(11, None)])
lab("torchrun_ctrlc_tty", P + ", torchrun", ("acc", ["accuracy"], "max"), r"\* epoch \d+: acc #", r"epoch (\d+)", (40, None, EPOCH), {"loss": ("loss #", None)}, "interrupted",
    "torch.distributed.elastic.multiprocessing.api.SignalException: Process 9430 got signal: 2", "Ctrl-C reaches the launcher and two ranks",
    exception_alt=["KeyboardInterrupt"], progress_alt=[(8, 10)])
lab("keras_jax_ctrlc_tty", "Keras 3 on JAX", KO, "val_accuracy: #", r"Epoch (\d+)/", (17, 500, EPOCH), {"val_loss": ("val_loss: #", None)}, "interrupted", "KeyboardInterrupt",
    "a function called divide_no_nan in the traceback", count=None, progress_alt=[(16, 500), (20, 20), (1, 20)])
lab("timeout_kill_tty", P + ", tqdm", ("val_acc", ["val acc", "validation accuracy"], "max"), "val_acc: #", r"Epoch (\d+)/50", (3, 50, EPOCH),
    {"val_loss": "val_loss: #", "loss": (r", loss=#", None)}, "timeout", None, "the message of timeout -v sits at the end of a bar", fault_alt=["killed"], progress_alt=[(2, 50), (10, 21), (2, None)])
# fmt: on


def main():
    names = sorted(p.stem for p in OWN.glob("*.log"))
    missing, extra = [n for n in names if n not in SPECS], [n for n in SPECS if n not in names]
    if missing or extra:
        print("without label:", missing, "without log:", extra)
    show = sys.argv[1:]
    for name in names:
        if name not in SPECS:
            continue
        label, text = make(name)
        if SPECS[name].get("batch_max"):
            top = max(v for v, _ in reports(text, SPECS[name]["batch_max"]))
            if top != label["best"]:
                label["best_alt"] = [top]
        check(name, label, text)
        (OWN / f"{name}.json").write_text(json.dumps(label, indent=1, ensure_ascii=False) + "\n")
        if not show or name in show:
            p = label["progress"]
            print(
                f"{name:30s} {label['objective'] and label['objective']['name']!s:14.14} final={label['final']} best={label['best']}@{label['best_step']} n={label['count']} "
                f"prog={p and (p['done'], p['total'])} {label['fault']} "
                + " ".join(
                    f"{k}={m['final']}x{m['count']}"
                    for k, m in list(label["metrics"].items())[1 if label["objective"] else 0 :]
                )
            )
    # held-out by the hash of the name
    split = {n: "held-out" if int(hashlib.sha256(n.encode()).hexdigest(), 16) % 5 < 2 else "dev" for n in names}
    (HERE.parent / "split.json").write_text(json.dumps(split, indent=1, sort_keys=True) + "\n")
    print(len(names), "logs,", sum(v == "dev" for v in split.values()), "dev")


if __name__ == "__main__":
    main()
