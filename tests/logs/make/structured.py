#!/usr/bin/env python3
"""Write ../own_structured/NAME/label.json: the label of the log and the exact values of the structured file.

Run with a Python that has tensorboard and wandb (environment a)."""

import csv
import json
import math
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
OWN, STRUCT = HERE.parent / "own", HERE.parent / "own_structured"


def table(path, key, step, delimiter=","):
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f, delimiter=delimiter))
    return [(float(r[step]), float(r[key])) for r in rows if r.get(key)]


def jsonl(path, key, step):
    return [(r[step], r[key]) for r in map(json.loads, open(path)) if key in r]


def trainer_state(path, key, step):
    return [(r[step], r[key]) for r in json.load(open(path))["log_history"] if key in r]


def events(path, key, step):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    acc = EventAccumulator(str(path))
    acc.Reload()
    return [(e.step, e.value) for e in acc.Scalars(key)]


def records(path):
    """The records of a LevelDB-style log: 7 bytes of head, then pieces of at most 32768 bytes a block."""
    data = path.read_bytes()
    at, whole = 7, b""
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # full, last
            yield whole
            whole = b""


def offline_run(path, key, step):
    from wandb.proto import wandb_internal_pb2

    out = []
    for data in records(path):
        rec = wandb_internal_pb2.Record()
        rec.ParseFromString(data)
        if rec.WhichOneof("record_type") == "history":
            items = {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in rec.history.item}
            if key in items:
                out.append((items[step], items[key]))
    return out


SOURCES = {
    "catboost_auc": ("catboost_info/test_error.tsv", lambda p, k, s: table(p, k, s, "\t"), "AUC", "iter"),
    "fastai_table": ("history.csv", table, "accuracy", "epoch"),
    "hf_trainer_pipe": ("out/trainer_state.json", trainer_state, "eval_accuracy", "epoch"),
    "keras_torch_lines": ("training.csv", table, "val_accuracy", "epoch"),
    "lightning_pipe": ("logs/mlp/version_0/metrics.csv", table, "val_acc", "epoch"),
    "poutyne_pipe": ("log.tsv", table, "val_acc", "epoch"),
    "timm_lines": ("summary.csv", table, "eval_top1", "epoch"),
    "torch_jsonl": ("metrics.jsonl", jsonl, "val_auc", "epoch"),
    "torch_tensorboard": ("runs/exp1/events.out.tfevents.*", events, "val/mse", "step"),
    "ultralytics_cls_pipe": ("runs/cls/results.csv", table, "metrics/accuracy_top1", "epoch"),
    "wandb_offline": ("wandb/offline-run-*/run-*.wandb", offline_run, "val/accuracy", "epoch"),
}

for name, (where, read, key, step) in SOURCES.items():
    folder = STRUCT / name
    path = next(folder.glob(where))
    rows = read(path, key, step)
    label = json.loads((OWN / f"{name}.json").read_text())
    pick = max if label["objective"]["direction"] == "max" else min
    best = pick(v for _, v in rows)
    label["source_value"] = rows[-1][1]
    label["source_best"] = best
    label["source_best_step"] = next(s for s, v in rows if v == best)
    label["source_file"] = str(path.relative_to(folder))
    label["source_key"] = key
    label["source_count"] = len(rows)
    assert (folder / "run.log").read_bytes() == (OWN / f"{name}.log").read_bytes(), name
    (folder / "label.json").write_text(json.dumps(label, indent=1, ensure_ascii=False) + "\n")
    near = math.isclose(label["source_value"], label["final"], rel_tol=2e-3)
    print(
        f"{name:22s} final {label['final']} / {label['source_value']}  best {label['best']}@{label['best_step']} / {best}@{label['source_best_step']}  n={len(rows)}{'' if near else '  FAR'}"
    )
