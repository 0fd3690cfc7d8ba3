"""The log reader: real lines of many frameworks, what is no metric, faults, chunking, bounds."""

from __future__ import annotations

import json
import math
import os
import random
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auto_experiment.records.observation import Fault, Progress
from auto_experiment.watch.metrics import shapes
from auto_experiment.watch.metrics.reader import LogReader, read_line
from auto_experiment.watch.metrics.summary import direction_of, summarise


def read(text: str | bytes, **options) -> tuple[LogReader, list]:
    reader = LogReader(**options)
    points = reader.feed(text if isinstance(text, bytes) else text.encode())
    return reader, points + reader.finish()


def pairs(line: str) -> dict[str, float]:
    return dict(read_line(line).pairs)


FORMATS = [
    # plain pairs
    ("val_loss: 1e-3", {"val_loss": 1e-3}),
    ("accuracy=0.93", {"accuracy": 0.93}),
    ("loss = .5", {"loss": 0.5}),
    ("loss : 0.5", {"loss": 0.5}),
    ("'loss': 0.5", {"loss": 0.5}),
    ("loss -> 0.5", {"loss": 0.5}),
    ("reward: -1", {"reward": -1.0}),
    ("acc: 86.4%", {"acc": 86.4}),
    ("acc: 86.4 %", {"acc": 86.4}),
    ("Perplexity=1,218", {"Perplexity": 1218.0}),
    ("loss: 2.5e+00 acc: 1E-2", {"loss": 2.5, "acc": 0.01}),
    ("loss: 0.1 - acc: 0.2 - f1: 0.3", {"loss": 0.1, "acc": 0.2, "f1": 0.3}),
    ("val_bpc=0.5012 seconds=1.4", {"val_bpc": 0.5012}),  # the next name, not the unit of the number before it
    ("val_bpc: 0.5012 min: 0.3", {"val_bpc": 0.5012, "min": 0.3}),
    ("took 3.2 seconds loss=0.3", {"loss": 0.3}),
    ("loss=0.1; acc=0.2 | f1=0.3", {"loss": 0.1, "acc": 0.2, "f1": 0.3}),
    ("loss: tensor(0.6931, device='cuda:0', grad_fn=<NllLossBackward0>)", {"loss": 0.6931}),
    ("loss: Array(0.6931, dtype=float32, weak_type=True), acc: 0.5", {"loss": 0.6931, "acc": 0.5}),
    ("ELBO: tf.Tensor(-81.25, shape=(), dtype=float64)", {"ELBO": -81.25}),
    ("loss = <tf.Tensor: shape=(), dtype=float32, numpy=0.25>", {"loss": 0.25}),
    ("loss: Tensor(shape=[1], dtype=float32, place=CUDAPlace(0), stop_gradient=False, [0.125])", {"loss": 0.125}),
    ("loss: Tensor(shape=[], dtype=Float32, value= 0.125)", {"loss": 0.125}),
    (
        "{'loss': Array(0.25, dtype=float32), 'acc': tf.Tensor(0.75, shape=(), dtype=float32)}",
        {"loss": 0.25, "acc": 0.75},
    ),
    # print() of two values
    ("epoch 3 loss 0.52 acc 0.81", {"loss": 0.52, "acc": 0.81}),
    ("Loss is 0.487118 Acc is 0.850701", {"Loss": 0.487118, "Acc": 0.850701}),
    # PyTorch's MNIST example
    ("Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.259", {"train_Loss": 2.259}),
    (
        "Test set: Average loss: 0.0341, Accuracy: 9896/10000 (99%)",
        {"test_Average loss": 0.0341, "test_Accuracy": 99.0},
    ),
    ("Item accuracy: 9400 / 10800 (0.8411)", {"Item accuracy": 0.8411}),  # CRFsuite
    ("UAS:   \t812/1000 = 81.20000", {"UAS": 81.2}),
    ("Accuracy: 812/1000 = 81.2%, F1: 0.7", {"Accuracy": 81.2, "F1": 0.7}),
    # what an error is measured in, and Vowpal Wabbit's mark of a holdout
    ("mae: 3.25 ms, EPE: 1.5 px", {"mae": 3.25, "EPE": 1.5}),
    ("average loss = 0.412345 h", {"average loss": 0.412345}),
    ("warmup: 3.25 ms, queue = 1.5 h", {}),
    # no value, but what is counted
    ("lm loss: 2.25 | number of nan iterations:   0 | loss nan steps: 0", {"lm loss": 2.25}),
    ("episode/length 240 / episode/score 1.20 / train/loss/dyn 9.00 / ", {"episode/score": 1.2, "train/loss/dyn": 9.0}),
    ("recall_0.5: 0.94", {"recall_0.5": 0.94}),  # no logger's name
    ("Speed 2512.21 samples/sec   Loss 12.34   LearningRate 0.1   Epoch: 0", {"Loss": 12.34, "LearningRate": 0.1}),
    # PyTorch's ImageNet example, timm, MetricLogger: the first value is the current one, in brackets the average
    (
        "Epoch: [0][  10/5005]\tTime  0.35 ( 1.96)\tData  0.00 ( 1.51)\tLoss 6.9538e+00 (6.98)\tAcc@1   0.39 (  0.17)",
        {"Loss": 6.9538, "Acc@1": 0.39},
    ),
    (
        "Epoch: [3]  [ 100/1251]  eta: 0:08:59  lr: 0.000100  loss: 6.9210 (6.9300)  time: 0.43  data: 0.0002  max mem: 9512",
        {"lr": 1e-4, "loss": 6.921, "data": 0.0002},
    ),
    # Lightning's results over several lines, NGCF's lists
    ("{'test_acc': tensor(0.81, device='cuda:0'),", {"test_acc": 0.81}),
    ("recall=[0.12, 0.23], hit=[0.4,0.5], ndcg=[0.08, 0.11]", {"recall": 0.12, "hit": 0.4, "ndcg": 0.08}),
    ("class_iou=[0.12, 0.23]", {}),
    ("Run: 02, Epoch: 03, Train: 91.5%, Valid: 80.5%", {"Train": 91.5, "Valid": 80.5}),
    ("mAP_0.5 = 0.19 mAP_0.5:0.95 = 0.08", {"mAP_0.5": 0.19, "mAP_0.5-0.95": 0.08}),
    ("{'iou': [0.91, 0.82], 'acc': [0.95, 0.9]}", {"iou": 0.91, "acc": 0.95}),  # of classes, and no history
    # a dict as it is printed
    ("Epoch 1 OrderedDict([('loss', 0.5), ('acc', 0.8)])", {"loss": 0.5, "acc": 0.8}),
    (
        "OrderedDict([('bbox', OrderedDict([('AP', 0.38), ('AP50', 0.59)])), ('segm', OrderedDict([('AP', 0.35)]))])",
        {"bbox/AP": 0.38, "bbox/AP50": 0.59, "segm/AP": 0.35},
    ),
    # over how many of the last it is
    ("Average reward over last 100 episodes: 12.5", {"Average reward": 12.5}),
    ("mean return (last 50 eval episodes) = 12.5, length: 3", {"mean return": 12.5}),
    ("avg. loss over the last 100 steps: 0.5", {"avg. loss": 0.5}),
    ("Last 100 episodes average: 12.5", {"average": 12.5}),
    ("the loss is: 0.5", {"loss": 0.5}),
    # names and values parted by slashes
    ("[Step 500] Train accuracy/test accuracy: 0.73 / 0.70.", {"Train accuracy": 0.73, "test accuracy": 0.7}),
    (
        "Epoch 3 Train/Val loss: 0.5/0.6, acc train/val: 81%/75.5%",
        {"Train loss": 0.5, "Val loss": 0.6, "train acc": 81, "val acc": 75.5},
    ),
    (
        "train loss/acc: 0.5/0.81 | val loss/acc: 0.6/0.75",
        {"train loss": 0.5, "train acc": 0.81, "val loss": 0.6, "val acc": 0.75},
    ),
    ("P/R/F1: 0.9/0.8/0.85 Acc@1/5 = 81.2/95.1", {"P": 0.9, "R": 0.8, "F1": 0.85, "Acc@1": 81.2, "Acc@5": 95.1}),
    ("loss/acc: 0.5/0.6/0.7", {}),
    ("Epoch 01 | GCN (Train/Val Acc): 0.25/0.75", {"Train GCN Acc": 0.25, "Val GCN Acc": 0.75}),
    (
        "loss (train/val): 0.5/0.6, acc (top1/top5) = 70.5% / 90.5%",
        {"train loss": 0.5, "val loss": 0.6, "acc top1": 70.5, "top5": 90.5},
    ),
    ("Epoch/Step: 3/10", {}),
    # Keras
    (
        "1875/1875 [==============================] - 2s 1ms/step - loss: 0.2972 - accuracy: 0.9136 - val_loss: 0.1506",
        {"loss": 0.2972, "accuracy": 0.9136, "val_loss": 0.1506},
    ),
    ("469/469 ━━━━━━━━━━━━━━━━━━━━ 3s 5ms/step - acc: 0.87 - loss: 0.45", {"acc": 0.87, "loss": 0.45}),
    # tqdm with a postfix, Lightning
    ("Epoch 3:  45%|####5     | 450/1000 [00:12<00:15, 36.10it/s, v_num=7, train_loss=0.312]", {"train_loss": 0.312}),
    (" 10%|█         | 10/100 [00:01<00:09,  9.9it/s, loss=nan]", {"loss": math.nan}),
    # Hugging Face Trainer
    (
        "{'loss': 0.3456, 'grad_norm': 1.2, 'learning_rate': 4.9e-05, 'epoch': 1.0}",
        {"loss": 0.3456, "grad_norm": 1.2, "learning_rate": 4.9e-5},
    ),
    (
        "{'eval_loss': nan, 'eval_accuracy': 0.5, 'eval_runtime': 3.2, 'epoch': 2.0}",
        {"eval_loss": math.nan, "eval_accuracy": 0.5},
    ),
    ("{'loss': '0.6032', 'epoch': '2.3'}", {"loss": 0.6032}),
    ("{'loss': np.float64(0.25), 'epoch': 1}", {"loss": 0.25}),
    # JSON lines, with words before, nested, cut off
    ('{"step": 5, "loss": 0.25, "ok": true, "note": null}', {"loss": 0.25}),
    (
        '{"epoch": 1, "train": {"loss": 0.5, "acc": 0.75}, "val": {"loss": 0.6}}',
        {"train/loss": 0.5, "train/acc": 0.75, "val/loss": 0.6},
    ),
    ('json_stats: {"epoch": 3, "test_acc": 94.5}', {"test_acc": 94.5}),
    ('{"epoch": 2, "loss": NaN, "top": -Infinity}', {"loss": math.nan, "top": -math.inf}),
    ('{"epoch": 2, "loss": 0.5, "acc": 0.7, "bro', {"loss": 0.5, "acc": 0.7}),
    ('{"metric": "val_loss", "value": 0.3, "step": 4}', {"val_loss": 0.3}),
    # what a run says of its best value is no report of the latest one
    ("Validation loss decreased (0.60 --> 0.50).  Saving model ...", {"best Validation loss": 0.5}),
    ("Epoch 00003: val_acc improved from 0.61 to 0.72, saving model to best.h5", {"best val_acc": 0.72}),
    ("[best] val loss improved to 0.5123", {"best val loss": 0.5123}),
    ("Val loss improved \u2192 0.5123 | checkpoint saved", {"best Val loss": 0.5123}),
    ("Epoch: 3 | val acc: 0.81 | Val loss improved to 0.51 | train acc: 0.83", {"val acc": 0.81, "train acc": 0.83}),
    ("val_loss did not improve from 0.50", {}),
    ("mAP@0.5: 0.61 mAP@0.5:0.95: 0.42", {"mAP@0.5": 0.61, "mAP@0.5-0.95": 0.42}),
    ("Test accuracy after epoch 4:91.5%", {"Test accuracy": 91.5}),
    ("Fold 2 | loss 0.31", {"loss": 0.31}),
    ("EarlyStopping counter: 3 out of 7", {}),
    # StyleGAN's results, with settings beside them
    (
        '{"results": {"fid50k_full": 12.5}, "metric": "fid50k_full", "total_time": 9.5, "snapshot_pkl": "a.pkl"}',
        {"results/fid50k_full": 12.5},
    ),
    # nanoGPT
    ("step 250: train loss 2.4293, val loss 2.4447", {"train loss": 2.4293, "val loss": 2.4447}),
    ("iter 250: loss 2.4293, time 327.15ms, mfu 7.53%", {"loss": 2.4293, "mfu": 7.53}),
    # fairseq
    (
        "| epoch 003 | valid on 'valid' subset | loss 4.123 | nll_loss 2.409 | ppl 5.31",
        {"valid_loss": 4.123, "valid_nll_loss": 2.409, "valid_ppl": 5.31},
    ),
    # gluon, mxnet, xgboost, LightGBM
    ("INFO:root:Epoch[125] Validation-accuracy=0.755620", {"Validation-accuracy": 0.75562}),
    (
        "[Epoch 119] validation: err-top1=0.347517 err-top5=0.137237",
        {"validation_err-top1": 0.347517, "validation_err-top5": 0.137237},
    ),
    ("[17:56:50] [499]\ttest-auc:0.839593", {"test-auc": 0.839593}),
    ("[0]\ttrain-rmse:0.48\teval-rmse:0.49", {"train-rmse": 0.48, "eval-rmse": 0.49}),
    ("[LightGBM] [Info] Iteration:500, valid_1 auc : 0.845724", {"valid_1 auc": 0.845724}),
    # mmcv, detectron2, YOLOX
    (
        "2026-01-02 10:00:00,123 - mmdet - INFO - Epoch [1][50/7330]\tlr: 1.978e-03, eta: 1 day, 0:01:02, time: 0.35, memory: 3807, loss_cls: 0.62, loss: 1.25",
        {"lr": 1.978e-3, "loss_cls": 0.62, "loss": 1.25},
    ),
    (
        "[08/30 23:53:55 d2.utils.events]:  eta: 1:02:03  iter: 19  total_loss: 3.368  loss_cls: 1.1  time: 0.4  lr: 0.0002  max_mem: 4123M",
        {"total_loss": 3.368, "loss_cls": 1.1, "lr": 0.0002},
    ),
    # stable-baselines3 tables, COCO
    ("|    ep_rew_mean          | 1.87        |", {"ep_rew_mean": 1.87}),
    (" Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.370", {"AP": 0.37}),
    (" Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.585", {"AP50": 0.585}),
    # one split apart, then another
    (
        "Train | loss: 0.5 acc: 0.8 | Val | loss: 0.6 acc: 0.7",
        {"train_loss": 0.5, "train_acc": 0.8, "val_loss": 0.6, "val_acc": 0.7},
    ),
    ("[Val] loss=0.6, acc=0.7", {"val_loss": 0.6, "val_acc": 0.7}),
    ("val loss: 0.4, acc: 0.7", {"val loss": 0.4, "val_acc": 0.7}),
    (
        "Train Loss: 8.6 | Token Acc: 0.06 | Val Loss: 8.7 | Token Acc: 0.07",
        {"Train Loss": 8.6, "Token Acc": 0.06, "Val Loss": 8.7, "val_Token Acc": 0.07},
    ),
    ("[Epoch 196] train=0.9997 val=0.9396 loss=0.0016", {"train": 0.9997, "val": 0.9396, "loss": 0.0016}),
    # orders and marks of their own
    ("12: 340.92, 618.07 avg, 0.001 rate, 3.1 seconds, 768 images", {"loss": 340.92, "avg": 618.07}),
    ("%WER 9.87 [ 1984 / 20138, 210 ins, 300 del, 1474 sub ]", {"WER": 9.87}),
    (
        "Epoch 1, batch 50, loss[loss=6.5, over 1000 frames.], tot_loss[loss=6.9, over 9 frames.]",
        {"loss": 6.5, "tot_loss": 6.9},
    ),
    ("Saving dict for global step 200: accuracy = 0.6, loss = 2.8", {"eval_accuracy": 0.6, "eval_loss": 2.8}),
    (
        "Epoch 0, global step 90: 'val_loss' reached 6.49 (best 6.49), saving model to 'a.ckpt' as top 1",
        {"val_loss": 6.49},
    ),
    ("cur metric, acc: 0.54, fps: 312.1", {"cur metric acc": 0.54}),
    ("best metric, acc: 0.9, norm: 0.8", {"best metric acc": 0.9, "best norm": 0.8}),
    ("global_step=7655, episodic_return=[452.]", {"episodic_return": 452.0}),
    ("| Word Error Rate (WER): 23.345 | CTC Loss: 0.5", {"Word Error Rate (WER)": 23.345, "CTC Loss": 0.5}),
    ("[0/5][100/1583]\tLoss_D: 0.5 D(x): 0.76", {"Loss_D": 0.5, "D(x)": 0.76}),
    (
        "Average undiscounted return per evaluation episode: 9.70",
        {"Average undiscounted return per evaluation episode": 9.7},
    ),
    ("Mean episode length: 676.62", {"Mean episode length": 676.62}),
    ("Iteration 8, inertia 223101.85.", {"inertia": 223101.85}),
    ("[ITER 7000] Evaluating test: L1 0.0161 PSNR 25.9 [01/06 10:07:00]", {"test_L1": 0.0161, "test_PSNR": 25.9}),
    ("tick 20  kimg 80.0  time 10m 00s  gpumem 6.0    augment 0.240", {"augment": 0.24}),
    ("Test: [  20/20]  Time: 0.1 (0.2)  Acc@1:  68.5199 ( 67.1495)", {"test_Acc@1": 67.1495}),
    ("Test: [  10/20]  Time: 0.1 (0.2)  Acc@1:  68.5199 ( 67.1495)", {}),
    ("mean reward: 1.2K params: 25.6M loss: 3s", {"mean reward": 1200.0}),
    # what Windows prints, quotes, a sentence
    ("loss=1.#QNAN grad_norm=-1.#IND reward=1.#INF", {"loss": math.nan, "grad_norm": math.nan, "reward": math.inf}),
    ("acc: '0.5', f1 = \"0.6\"", {"acc": 0.5, "f1": 0.6}),
    ("Accuracy of the network on the 10000 test images: 55 %", {"Accuracy of the network": 55.0}),
    ("Epoch 1 done. average loss 0.5", {"average loss": 0.5}),
    # other languages, other loggers
    (
        "\u7b2c3/8\u8f6e \u8bad\u7ec3\u635f\u5931\uff1a0.7842 \u9a8c\u8bc1\u51c6\u786e\u7387\uff1a74.95%",
        {"\u8bad\u7ec3\u635f\u5931": 0.7842, "\u9a8c\u8bc1\u51c6\u786e\u7387": 74.95},
    ),
    (
        '{"level": "INFO", "message": "epoch 4/5 finished: train_loss=0.31", "lineno": 12}',
        {"train_loss": 0.31},
    ),
    ("{'a': 0.1} total: 0.333", {"a": 0.1, "total": 0.333}),
    ("E3 B120/500 L=0.52", {"L": 0.52}),
    ("FID after epoch 5: 57.81", {"FID": 57.81}),
    ("Evaluation over 10 episodes: 1881.224 , D4RL score: 57.802", {"Evaluation": 1881.224, "D4RL score": 57.802}),
    ("acc (81.23% ± 2.0)", {"acc": 81.23}),
    ("loss 3.1000 tok/s 41002", {"loss": 3.1}),
    ("[5]#011train-rmse:0.57#011validation-rmse:0.76", {"train-rmse": 0.57, "validation-rmse": 0.76}),
    ("Root mean squared error: 0.1586", {"Root mean squared error": 0.1586}),
    ("error metric: 1-roc_auc", {}),
    ("[lm_eval.evaluator:164] done", {}),
    ("COMET INFO:     train_loss [6]     : (0.5713, 1.2315)", {}),
    (
        "Last 10 training episodes: mean/median reward 12.5/13.0, min/max reward -1.0/20.0",
        {"mean reward": 12.5, "median reward": 13.0, "min reward": -1.0, "max reward": 20.0},
    ),
    ("MAE 3.2 RMSE 5.1 MAPE 8.1%", {"MAE": 3.2, "RMSE": 5.1, "MAPE": 8.1}),
    # a split in front of a document; what stands in brackets beside a value
    ("val: {'loss': 0.5, 'acc': 0.9}", {"val_loss": 0.5, "val_acc": 0.9}),
    ("epoch 3 Train metrics: {'loss': 0.5, 'lr': 0.1, 'val_loss': 3}", {"train_loss": 0.5, "lr": 0.1, "val_loss": 3}),
    ("Train Loss: 0.5 (best 0.4), Val: 0.6", {"Train Loss": 0.5, "Val": 0.6}),
    ("avg reward (last 100): 12.5", {"avg reward": 12.5}),
    ("Mean reward over the last 100 episodes: 12.5", {"Mean reward": 12.5}),
    ("PSNR: 28.1dB, SSIM: 0.9", {"PSNR": 28.1, "SSIM": 0.9}),
    # names without a mark between them and their values, on lines that report nothing else
    ("ADE 1.207 FDE 2.238", {"ADE": 1.207, "FDE": 2.238}),
    (" * ADE 1.2", {"ADE": 1.2}),
    ("numpy 1.26 pandas 2.1", {}),
    ("Iter 7: SR 54.5%, Q 227.02, Pi -32.5", {"SR": 54.5, "Q": 227.02, "Pi": -32.5}),
    ("loss is: 2.5, acc is: 0.07", {"loss": 2.5, "acc": 0.07}),
    ("('loss', 0.5, 'acc', -0.7)", {"loss": 0.5, "acc": -0.7}),
    ("sizes (3, 4, 5)", {}),
    # a warning glued on
    ("iter 20 || Loss: 0.25 || /opt/lib/aug.py:12: VisibleDeprecationWarning: ragged, x=3", {"Loss": 0.25}),
    ("epoch 2 loss: 0.25 C:\\lib\\aug.py:12: FutureWarning: acc: 0.5", {"loss": 0.25}),
    ("epoch 2 loss: 0.25 aug.py:12: UserWarning: acc: 0.5 is old", {"loss": 0.25}),
    # names with digits and marks
    ("Epoch: 3/20, top 1 acc: 0.25, top 5 acc: 0.75", {"top 1 acc": 0.25, "top 5 acc": 0.75}),
    ("epoch 3 top 5 acc: 0.75", {"top 5 acc": 0.75}),
    ("epoch 3 top 0.5 acc 0.25", {"top": 0.5, "acc": 0.25}),
    ("BLEU-4 33.42", {"BLEU-4": 33.42}),
    ("R@1 : 71.363", {"R@1": 71.363}),
    ("top-1 accuracy: 76.1", {"top-1 accuracy": 76.1}),
    ("train_metrics/srcc: 9.6176e-01 ", {"train_metrics/srcc": 0.96176}),
    # units that belong to a metric
    ("Average PSNR : 30.82dB, SSIM : 0.9", {"Average PSNR": 30.82, "SSIM": 0.9}),
    ("SI-SDR: 12.5dB loss: 0.5", {"SI-SDR": 12.5, "loss": 0.5}),
    ("MPJPE: 45.2mm, EPE: 3.21px", {"MPJPE": 45.2, "EPE": 3.21}),
    ("MPJPE 45.2 mm", {"MPJPE": 45.2}),
    ("crop: 64px batch: 3dBm", {}),
    ("PSNR [dB]: 30.1, acc[%] = 91.5", {"PSNR": 30.1, "acc": 91.5}),
    ("Test Acc(%): 90.5, top-1 (%) 80.1", {"Test Acc": 90.5, "test_top-1": 80.1}),
    ("accuracy (5-shot): 0.9", {"accuracy (5-shot)": 0.9}),
    # words in brackets behind a name
    ("Success Rate (collision-free): 90.0", {"Success Rate (collision-free)": 90.0}),
    ("box accuracy (IoU=0.7): 0.25, AP (IoU=0.50) = 0.75", {"box accuracy (IoU=0.7)": 0.25, "AP (IoU=0.50)": 0.75}),
    ("Epoch 2 val accuracy (k=5): 25.5%", {"val accuracy (k=5)": 25.5}),
    ("acc: 0.5 (IoU=0.7)", {"acc": 0.5, "IoU": 0.7}),
    ("F1 (micro-averaged) = 0.8", {"F1 (micro-averaged)": 0.8}),
    ("Accuracy (test set): 90%", {"Accuracy (test set)": 90.0}),
    ("Success Rate (collision_free, greedy): 90", {"Success Rate (collision_free, greedy)": 90.0}),
    ("Epoch-3 loss 0.3", {"loss": 0.3}),
    ("[1,  2000] loss: 2.173", {"loss": 2.173}),
    ("Val result: mIoU/mAcc/allAcc 0.71/0.81/0.91.", {"val_mIoU": 0.71, "val_mAcc": 0.81, "val_allAcc": 0.91}),
    (
        "mean/median reward 12.3/11.0, min/max reward 1.0/20.0",
        {"mean reward": 12.3, "median reward": 11.0, "min reward": 1.0, "max reward": 20.0},
    ),
    ("ms/batch 12.3 | loss 0.5", {"loss": 0.5}),
    ("FID: 12.3 IS: 8.9", {"FID": 12.3, "IS": 8.9}),
    ("network-snapshot-000200        time 10m 00s       fid50k_full 12.3456", {"fid50k_full": 12.3456}),
    ("Train 3, loss: 0.3, train acc: 0.9", {"train_loss": 0.3, "train acc": 0.9}),
    # sentences
    ("avg loss so far is 0.1", {"avg loss so far": 0.1}),
    ("the average reward now is 12.5", {"average reward now": 12.5}),
]


@pytest.mark.parametrize(("line", "wanted"), FORMATS, ids=[line[:50] for line, _ in FORMATS])
def test_formats(line, wanted):
    found = pairs(line)
    assert found == pytest.approx(wanted, nan_ok=True)


NO_POINTS = [
    "Hyperparameters: lr=0.1 val_acc=0.99 loss=2",
    "2026-11-01 10:00:00,123",
    "12:30:45",
    "[12:30:45] starting",
    "Namespace(lr=0.1, batch_size=64, epochs=10)",
    "TrainingArguments(learning_rate=5e-05, num_train_epochs=3)",
    "  (conv1): Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), bias=False)",
    "config: lr=0.1 momentum=0.9",
    "Epoch 00003: val_loss did not improve from 0.49876",
    "time: 3.2s",
    "elapsed: 0:03:12",
    "ETA: 0:03",
    "eta: 5 min",
    "memory: 3.5 GB",
    "Listening on 10.0.0.1:8080",
    "tensorboard at http://localhost:6006/",
    "http://10.1.2.3:29500",
    "torch version: 2.1.0",
    "python 3.10.4",
    "Input shape: (3, 224, 224)",
    "image: 640x480",
    "speed: 12 it/s",
    "throughput: 1200 samples/s",
    '  File "/home/u/train.py", line 12, in <module>',
    "train.py:504: UserWarning: loss: 0.5 is deprecated",
    "seed: 42",
    "stop when loss > 0.5",
    "str 5 and tp 3",
    "epochs: 100",
    "batch size: 64",
    "0.5",
    "= 0.5",
    ": 3",
    "x" * 80 + ": 0.5",
    "pages 10-20: 3-4",
    "+ python train.py --lr=0.1",
    "exitcode  : 1 (pid: 4711)",
    "nan",
    "information: info",
    "wandb:  train_acc 0.99953",
    "improved from 0.5, which was lower than the best",
]


@pytest.mark.parametrize("line", NO_POINTS, ids=[line[:40] for line in NO_POINTS])
def test_no_points(line):
    assert pairs(line) == {}


PROGRESS = [
    ("Epoch 3/10", Progress(3, 10, "epoch")),
    ("epoch: 3", Progress(3, None, "epoch")),
    ("[Epoch 3] loss: 1", Progress(3, None, "epoch")),
    ("Epoch [2/50], Step [100/600], Loss: 0.5", Progress(2, 50, "epoch")),
    ("Epoch: [ 7/200] Iter [ 410/1487] || Loss: 1.4", Progress(7, 200, "epoch")),
    ("step 120/1000 loss 0.3", Progress(120, 1000, "step")),
    ("tp: 5 str: 3", None),
    ("Ep. 2 : Up. 56 : Cost 205.5", Progress(2, None, "epoch")),
    ("epoch: 0 step: 30 loss: 1", Progress(30, None, "step")),
    ("Global step 7", Progress(7, None, "step")),
    ("TRAINING STEP 7", Progress(7, None, "step")),
    ("Batch 3/9", Progress(3, 9, "step")),
    ("iter=5 loss=0.2", Progress(5, None, "step")),
    ("3/10 [====>.........] - loss: 0.5", Progress(3, 10, "step")),
    (" 45%|####5     | 450/1000 [00:12<00:15, 36.1it/s]", Progress(450, 1000, "step")),
    ("Epoch 12/200:  62%|██████▏   | 112/180 [01:53<01:08,  1.01s/it]", Progress(12, 200, "epoch")),
    ("step:50K loss:0.02", Progress(50000, None, "step")),
    ('{"current_steps": 11900, "total_steps": 11900, "loss": 0.1, "epoch": 24.96}', Progress(11900, 11900, "step")),
    ("{'loss': 0.1, 'epoch': 0.5}", Progress(0.5, None, "epoch")),
    ("Downloading: 100%|###| 500/500 [00:01<00:00, 400it/s]", None),
    ("epochs: 100, steps: 5", None),
    ("Epoch 8/8 loss: 1\nBest hr@20: 0.2301 (epoch 7)", Progress(8, 8, "epoch")),
    ("\u0415\u0449\u0451 \u042d\u043f\u043e\u0445\u0430 3/8", Progress(3, 8, "epoch")),
    ("Epoche 3/20", Progress(3, 20, "epoch")),
    ("Iteration No: 5 started.", Progress(5, None, "step")),
    ("Average return per training episode: 12.34", None),
    ("INFO:tensorflow:Loss for final step: 2.2310894.", None),
    ("fps step: 60054 fps total: 30962 epoch: 30/500 frames: 1900544", Progress(30, 500, "epoch")),
    ("Epoch(val) [4][50/50]    coco/bbox_mAP: 0.406", Progress(4, None, "epoch")),
    ("Eval num_timesteps=20000, episode_reward=462.25 +/- 3", Progress(20000, None, "step")),
    ("Epochs 1/2. Running Loss:    0.1298:  40%|###  | 40/99 [00:01<00:02, 9it/s]", Progress(1, 2, "epoch")),
    ("[node01:0/1] 2022-06-01 11:10:02,223 (trainer:272) INFO: 2/50epoch started.", Progress(2, 50, "epoch")),
    ("training for 10 epochs", None),
    ("Epoch(3) loss 0.5", Progress(3, None, "epoch")),
    ("[3][100/500] loss 0.5", Progress(3, None, "step")),
    ("100 [D loss: 0.69, acc.: 50.00%] [G loss: 0.8]", Progress(100, None, "step")),
    ("E:3 loss 0.5", Progress(3, None, "epoch")),
    (" 50% ━━━━╸    5,000/10,000 [ 0:01:02 < 0:01:02 , 8 it/s ]", Progress(5000, 10000, "step")),
    ("best acc 0.5 @ epoch 3", None),
    # durations of an epoch, or of several
    ("Epoch 4 loss 1\nTime taken for 1 epoch: 14.12 secs", Progress(4, None, "epoch")),
    ("Epoch 4 loss 1\n1 epoch: 14.2 secs", Progress(4, None, "epoch")),
    ("Epoch 4 loss 1\nfor 2 epochs 14 s", Progress(4, None, "epoch")),
    ("Step 40 loss 1\nlast 10 steps: 3 sec", Progress(40, None, "step")),
    ("Epoch 4 loss 1\nepoch: 14 seconds", Progress(4, None, "epoch")),
    ("step 100 epoch 3 sec 0.5", Progress(3, None, "epoch")),
    # bars of other signs, or of none
    ("100% 1706/1706 [1:42:57<00:00,  3.13s/it]", Progress(1706, 1706, "step")),
    ("Training:  50% 853/1706 [1:42:57<1:00:00,  3.13s/it, loss=0.5]", Progress(853, 1706, "step")),
    (" 50% 5/10 [00:57<?, ?it/s]", Progress(5, 10, "step")),
    ("acc 50% 5/10 [ok]", None),
    ("Downloading: 100% 500/500 [00:01<00:00, 400it/s]", None),
    ("mAP50-95): 100% ━━━━━━━━━━━━ 105/105 7.8it/s 13.5s", Progress(105, 105, "step")),
    ("x: 97% ━━━━━━━━━━━╸ 102/105 1.2s/it 2:03<0.3s", Progress(102, 105, "step")),
    ("x: 0% ──────────── 0/105 2.1s", Progress(0, 105, "step")),
    ("x: 10% ━╸────────── 10/105 2.1it/s 2.1s<20s", Progress(10, 105, "step")),
    ("Epoch 5 min loss 0.2", Progress(5, None, "epoch")),
    # totals, marks and places of counters
    ("Epoch 3 (of 10) loss 0.3", Progress(3, 10, "epoch")),
    ("Epoch-3 loss 0.3", Progress(3, None, "epoch")),
    ("epoch_3: loss 0.3", Progress(3, None, "epoch")),
    ("saved epoch_3.pth", None),
    ("Test 3, loss: 0.3", Progress(3, None, "epoch")),
    ("(3/10) loss: 0.3", Progress(3, 10, "step")),
    ("3/10: loss 0.3", Progress(3, 10, "step")),
    ("[1,  2000] loss: 2.173\n[2,  2000] loss: 1.8", Progress(2, None, "epoch")),
    ("-------------Round number: 3-------------", Progress(3, None, "step")),
    ("Validation loss: 0.4 (best: 0.3 at epoch 4)", None),
    # what is gone through, where nothing else is counted
    ("sample 20/200 acc=0.1", Progress(20, 200, "step")),
    ("Processing image 3 of 12: psnr 20.1", Progress(3, 12, "step")),
    ("eval_progress item=50/200 acc=0.0\neval_progress item=100/200 acc=0.1", Progress(100, 200, "step")),
    ("[Query 7/9] mrr: 0.5", Progress(7, 9, "step")),
    ("Evaluating: 50%|###| 100/200 [00:57<00:00, 3it/s]", Progress(100, 200, "step")),
    ("Test: [10/40] Acc@1: 50.1", Progress(10, 40, "step")),
    ("epoch 3 loss 1\nimage 5/7 psnr 20\nTest: [10/40] Acc@1: 50.1", Progress(3, None, "epoch")),
    ("step 3 loss 1\nimage 5/7 psnr 20\nEvaluating: 50%|###| 1/2 [00:57<00:00, 3it/s]", Progress(3, None, "step")),
    ("correct samples: 9/10", None),
    ("images: 9/10 (90%)", None),
    ("12.5/25.0 MB: 50% ━━━━━━━━ 12.5/25.0MB 3.1MB/s 4.1s<4.0s", None),
    ("[3,  2000] loss: 2.213", Progress(3, None, "epoch")),
    ("Epoch-3: loss 0.5", Progress(3, None, "epoch")),
    ("epoch_3/9 loss 0.5", Progress(3, 9, "epoch")),
    ("saved to epoch_3.pth", None),
    ("100: loss 0.5", Progress(100, None, "step")),
    ("100 train loss: 0.5", Progress(100, None, "step")),
    ("12 errors 0.5", None),
    ("it 100 loss 0.5", Progress(100, None, "step")),
    ("CER: 12.30%[1230/10000]", None),
    (" 'epoch': 3}", Progress(3, None, "epoch")),
    ("Epoch-3: loss=0.5", Progress(3, None, "epoch")),
    ("epoch_3 | loss=0.5", Progress(3, None, "epoch")),
    ("saved to epoch_3.pth", None),
    ("it 100: loss 0.5", Progress(100, None, "step")),
    ("\u8bad\u7ec3\u8f6e\u6b21: 3/10, \u635f\u5931: 0.5", Progress(3, 10, "epoch")),
    ("Total T: 900 Episode Num: 3 Episode T: 300 Reward: 7.5", Progress(900, None, "step")),
]


@pytest.mark.parametrize(("line", "wanted"), PROGRESS, ids=[line[:40] for line, _ in PROGRESS])
def test_progress(line, wanted):
    assert read(line)[0].progress == wanted


def test_epochs_win_over_steps_and_totals_hold():
    reader, _ = read("Epoch 1/3\nstep 10/100 loss 1\nepoch 2 step 20/100 loss 2\n")
    assert reader.progress == Progress(2, 3, "epoch")
    assert reader.steps_seen == 2


def test_points_carry_step_epoch_and_line():
    _, points = read("Epoch 2/5\nstep 7 loss: 0.5\nval_loss: 0.6\n")
    assert [(p.name, p.value, p.step, p.epoch, p.line) for p in points] == [
        ("loss", 0.5, 7, 2, 2),
        ("val_loss", 0.6, 7, 2, 3),
    ]


def test_best_step_is_the_line_own_counter():
    reader, _ = read("epoch 1 acc: 0.5\nepoch 2 acc: 0.9\nepoch 3 acc: 0.7\n")
    series = reader.series["acc"]
    assert (series.count, series.final, series.final_step) == (3, 0.7, 3)
    assert (series.highest, series.highest_step, series.lowest, series.lowest_step) == (0.9, 2, 0.5, 1)


@pytest.mark.parametrize(
    "between", ["epoch 0/2", "[timer.py:264:stop] epoch=0/micro_step=10/global_step=10, Mem=13.01GB"]
)
def test_an_epoch_named_after_the_first_steps_parts_no_series(between):
    reader, _ = read(f"[Step 0/30] Loss: 5.1\n{between}\n[Step 10/30] Loss: 0.2\n[Step 20/30] Loss: 0.3\n")
    series = reader.judged["Loss"]
    assert (series.count, series.final, series.lowest, series.lowest_step) == (3, 0.3, 0.2, 10)


def test_a_single_value_that_closes_a_log_without_epochs_hides_no_other():
    reader, _ = read("step 10/20 acc: 0.5\nstep 20/20 acc: 0.9\nacc: 0.8\n")
    assert (reader.judged["acc"].count, reader.judged["acc"].highest) == (3, 0.9)


def test_the_first_of_equal_bests_gives_the_step():
    series = read("epoch 1 acc: 0.9\nepoch 2 acc: 0.9\nepoch 3 acc: 0.9\n")[0].series["acc"]
    assert (series.highest_step, series.lowest_step, series.final_step) == (1, 1, 3)


@pytest.mark.parametrize("by", [",", ";", "\t"])
def test_columns_by_any_mark(by):
    reader, _ = read("epoch,val_loss,val_acc\n1,0.5,0.6\n2,0.4,0.7\n".replace(",", by))
    assert (reader.progress, reader.series["val_acc"].final) == (Progress(2, None, "epoch"), 0.7)


def test_redraws_give_each_new_value_once():
    bar = "".join(f"\r {i}%|#| {i}/100 [00:01<00:01, 9it/s, loss={0.5 if i < 3 else 0.4}]" for i in range(1, 5))
    reader, points = read(bar + "\n")
    assert [p.value for p in points] == [0.5, 0.4]
    assert reader.lines == 1
    assert reader.progress == Progress(4, 100, "step")
    assert len(reader.tail) == 1
    assert "4/100" in reader.tail[0]


def test_old_keras_redraws_with_backspaces():
    reader, _ = read("1/2 [=>...] - loss: 0.9" + "\b" * 30 + "2/2 [=====] - loss: 0.8\n")
    assert (reader.series["loss"].final, reader.series["loss"].count, reader.lines) == (0.8, 2, 1)


@pytest.mark.parametrize(
    ("text", "values", "tail"),
    [
        ("loss: 0.9\b\b\b0.8\n", [0.9, 0.8], ["loss: 0.8"]),
        ("loss: 0.9\x1b[3D0.8\n", [0.9, 0.8], ["loss: 0.8"]),
        ("loss: 0.9 ok\x1b[7G0.8\n", [0.9, 0.8], ["loss: 0.8 ok"]),
        ("loss: 0.9 ok\x1b[7G0.8\x1b[K\n", [0.9, 0.8], ["loss: 0.8"]),
        ("\x1b[32mloss: 0.9\x1b[0m\x1b[K\n", [0.9], ["loss: 0.9"]),
        ("loss: 0.9\x1b[2K\rloss: 0.8\x1b[2K\r", [0.9, 0.8], []),
        ("loss: 0.9123\rloss: 0.8\n", [0.9123, 0.8], ["loss: 0.8"]),  # what a longer state leaves is no part of it
        ("loss:\x1b[3C0.9\n", [0.9], ["loss:   0.9"]),
        ("loss: 0.9 |\b/\b-\b\\\b|\n", [0.9], ["loss: 0.9 |"]),
        ("one\nloss: 0.9\nend\x1b[1A\rloss: 0.8\x1b[B\rend\nlast\n", [0.9, 0.8], ["one", "loss: 0.8", "end", "last"]),
        ("loss: 0.9\nacc: 0.1\n\x1b[2Floss: 0.8\x1b[Eacc: 0.1\n", [0.9, 0.1, 0.8], ["loss: 0.8", "acc: 0.1"]),
        ("loss: 0.9\nacc: 0.1\n\x1b[2A\x1b[Jloss: 0.8\nend\n", [0.9, 0.1, 0.8], ["loss: 0.8", "end"]),
        ("\x1b[99A\x1b[99Bloss: 0.9\n", [0.9], ["loss: 0.9"]),
        ("loss: 0.9 ok\n\rbar, 4 columns\x1b[A{'loss': 0.8}\n", [0.9, 0.8], ["              {'loss': 0.8}", "bar, 4 columns"]),
    ],
)  # fmt: skip
def test_the_last_state_of_what_is_redrawn_is_read(text, values, tail):
    reader, points = read(text)
    assert [point.value for point in points] == values
    assert reader.tail == tail


def test_nested_bars_are_each_one_row():
    inner = "".join(
        f"\n\rinner: {i}%|#| {i}/100 [00:01<00:01, 9it/s, loss={0.5 if i < 60 else 0.4}]\x1b[A" for i in range(1, 101)
    )
    outer = "\r 50%|#| 1/2 [00:01<00:01, 9it/s, acc=0.7]"
    reader, points = read(outer + inner + outer + "\n\n")
    assert [(p.name, p.value) for p in points] == [("acc", 0.7), ("loss", 0.5), ("loss", 0.4)]
    assert len(reader.tail) == 2
    assert "1/2" in reader.tail[0]
    assert "100/100" in reader.tail[1]


def test_a_table_that_is_redrawn_says_only_what_is_new():
    def table(loss: float) -> str:
        return f"┌──────┬─────┐\n│ loss │ {loss} │\n│ acc │ 0.5 │\n└──────┴─────┘\n"

    up = "\x1b[4A\x1b[J"
    _, points = read(table(0.9) + up + table(0.9) + up + table(0.8))
    assert [(p.name, p.value) for p in points] == [("loss", 0.9), ("acc", 0.5), ("loss", 0.8)]


def test_the_unfinished_line_counts_at_the_end_only():
    reader = LogReader()
    assert reader.feed(b"loss: 0.") == []
    assert reader.feed(b"25") == []
    assert [p.value for p in reader.finish()] == [0.25]
    assert reader.finish() == []
    assert reader.lines == 1


def test_restart_keeps_what_was_read():
    reader = LogReader()
    reader.feed(b"loss: 0.5\nloss: 0.")
    reader.restart()
    reader.feed(b"9: nothing\nacc: 0.1\n")
    assert reader.series["loss"].count == 1
    assert reader.series["acc"].final == 0.1
    assert reader.lines == 3


def test_a_column_of_values_under_a_name():
    reader, _ = read("% mean class accuracy (train set)\t\n 1.0e+01\t\n 3.0e+01\t\n 2.0e+01\t\nabc 1\n4.0\n")
    series = reader.series["% mean class accuracy (train set)"]
    assert (series.count, series.final, series.highest) == (3, 20.0, 30.0)
    assert list(reader.series) == [series.name]


def test_under_a_name_with_a_colon_or_one_that_comes_again_stands_one_value():
    reader, _ = read("accuracy:\n0.9\n0.3\naccuracy\n0.8\n0.2\n")
    assert (reader.series["accuracy"].count, reader.series["accuracy"].lowest) == (2, 0.8)


def test_torch7_columns():
    reader, _ = read(
        "% mean accuracy (train set)\t% mean accuracy (test set)\t\n 1.0e+01\t2.0e+01\t\n 3.0e+01\t4.0e+01\t\n"
    )
    found = {name: (series.count, series.final) for name, series in reader.series.items()}
    assert found == {"% mean accuracy (train set)": (2, 30.0), "% mean accuracy (test set)": (2, 40.0)}


def test_steps_seen_for_the_dry_run():
    assert read("starting\nmodel has 12 layers\n")[0].steps_seen == 0
    assert read("loss: 0.5\n")[0].steps_seen == 1
    assert read("loss: 0.5\nloss: 0.5\n")[0].steps_seen == 2
    assert read("step 1\nstep 1\n")[0].steps_seen == 1
    assert read("step 1\nstep 2\n")[0].steps_seen == 2
    assert read("Epoch 1/9\nEpoch 2/9\n")[0].steps_seen == 2
    assert read("\r 0%|  | 0/10 [00:00<?, ?it/s]\r 10%|# | 1/10 [00:01<00:09, 1it/s]\n")[0].steps_seen == 1


TRACE = (
    "Traceback (most recent call last):\n"
    '  File "/home/u/train.py", line 12, in <module>\n'
    "    main(lr=0.5)\n"
    '  File "/home/u/train.py", line 8, in main\n'
    "    loss = 3\n"
)

FAULTS = [
    ("epoch 1 loss: 0.5\n", Fault.NONE, None),
    ("epoch 1 loss: nan\n", Fault.NAN, None),
    ("epoch 1 train_loss=inf\n", Fault.NAN, None),
    ("{'loss': nan, 'epoch': 1.0}\n", Fault.NAN, None),
    ("epoch 1 loss: nan\nepoch 2 loss: 0.5\n", Fault.NONE, None),
    ("epoch 1 loss: 0.5 AP_small: nan\n", Fault.NONE, None),
    ("nan        tp: 374 - fp: 21 - precision: 0.9\n", Fault.NONE, None),
    ("nan_loss_count: 0\n", Fault.NONE, None),
    ("best val loss: inf\n", Fault.NONE, None),
    ("OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 65536, reducing to 32768.0\n", Fault.NONE, None),
    ("step 1 loss_scale: inf\n", Fault.NONE, None),
    (TRACE + "ValueError: bad shape\n", Fault.EXCEPTION, "ValueError: bad shape"),
    (
        "W tensorflow/bfc_allocator.cc:245] Allocator (GPU_0_bfc) ran out of memory. This is not a failure, but may mean\n",
        Fault.NONE,
        None,
    ),
    (
        "terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA out of memory.\nAborted (core dumped)\n",
        Fault.CUDA_OOM,
        "what():  CUDA out of memory.",
    ),
    (
        "F0203 10:00:00.000000  4711 blob.cpp:33] Check failed: shape[i] >= 0 (-2 vs. 0)\nAborted (core dumped)\n",
        Fault.EXCEPTION,
        "F0203 10:00:00.000000  4711 blob.cpp:33] Check failed: shape[i] >= 0 (-2 vs. 0)",
    ),
    ("*** Aborted at 16 (unix time) ***\n*** SIGSEGV (@0x0) ***\n", Fault.KILLED, "*** Aborted at 16 (unix time) ***"),
    ("epoch 1 loss: 0.5\nExited with exit code 1.\n", Fault.EXCEPTION, "Exited with exit code 1."),
    (TRACE + "ValueError: x\nSeed set to 7\nStarting training!\n", Fault.NONE, None),
    (
        "[rank0]: loss: 0.5\n" + TRACE.replace("Tr", "[rank1]: Tr") + "ValueError: x\nStarting training!\n",
        Fault.EXCEPTION,
        "ValueError: x",
    ),
    ("epoch 1 loss: 0.5\nTrain loss is nan. Stopping.\n", Fault.NAN, None),
    ("epoch 1 loss: 0.5\nWARNING: non-finite loss, ending training\n", Fault.NAN, "WARNING: non-finite loss, ending training"),
    ("epoch 1 loss: 0.5\nNaN detected in loss\n", Fault.NAN, "NaN detected in loss"),
    ("epoch 1 loss: 0.5\nNaN detected in loss, batch skipped\nepoch 2 loss: 0.4\n", Fault.NONE, None),
    ("epoch 1 loss: 0.5\nmake: *** [train] Error 1\n", Fault.EXCEPTION, "make: *** [train] Error 1"),
    ("epoch 1 loss: 0.5\nsrun: error: node01: task 0: Killed\n", Fault.KILLED, "srun: error: node01: task 0: Killed"),
    ("epoch 1 loss: 0.5\nsrun: error: n1: task 0: Out Of Memory\n", Fault.OOM, "srun: error: n1: task 0: Out Of Memory"),
    ("/usr/bin/python3: No module named torch\n", Fault.EXCEPTION, "/usr/bin/python3: No module named torch"),
    ("epoch 1 loss: 0.5\nProcess finished with exit code 0\n", Fault.NONE, None),
    ("epoch 1 loss: 0.5\nProcess finished with exit code 1\n", Fault.EXCEPTION, "Process finished with exit code 1"),
    (
        "epoch 1 loss: 0.5\nProcess finished with exit code 137 (interrupted by signal 9: SIGKILL)\n",
        Fault.KILLED,
        "Process finished with exit code 137 (interrupted by signal 9: SIGKILL)",
    ),
    ("epoch 1 loss: 0.5\nTraining interrupted\n", Fault.INTERRUPTED, "Training interrupted"),
    (TRACE + "my.pkg.OddProblem\n", Fault.EXCEPTION, "my.pkg.OddProblem"),
    (TRACE + "KeyboardInterrupt\n", Fault.INTERRUPTED, "KeyboardInterrupt"),
    (TRACE + "MemoryError\n", Fault.OOM, "MemoryError"),
    (TRACE + "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array\n", Fault.OOM, "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array"),
    (TRACE + "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 48.00 MiB\n", Fault.CUDA_OOM, "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 48.00 MiB"),
    (TRACE + "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB\n", Fault.CUDA_OOM, "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB"),
    ("epoch 1 loss: nan\n" + TRACE + "ValueError: input contains NaN\n", Fault.NAN, "ValueError: input contains NaN"),
    (TRACE + "ValueError: input contains NaN\n", Fault.EXCEPTION, "ValueError: input contains NaN"),
    # handled: the run goes on
    ("epoch 1 loss: 0.5\n" + TRACE + "OSError: disk is slow\nepoch 2 loss: 0.4\n", Fault.NONE, None),
    ("CUDA out of memory, retrying with batch size 8\nstep 1 loss: 0.5\n", Fault.NONE, None),
    ("err: 0.5\n" + TRACE + "OSError: disk is slow\nEpoch [1][50/99] memory: 380, test_error: 0.4\n", Fault.NONE, None),
    (TRACE + "torch.OutOfMemoryError: CUDA out of memory.\nCRITICAL Uncaught OutOfMemoryError: CUDA out of memory. Tried: 12 loss=3\n", Fault.CUDA_OOM, "torch.OutOfMemoryError: CUDA out of memory."),
    (TRACE + "my.Odd: step 5 failed, loss=3\n", Fault.EXCEPTION, "my.Odd: step 5 failed, loss=3"),
    (TRACE + "epoch 5 loss: 0.25\n" + "    more frames\nValueError: x\n", Fault.EXCEPTION, "ValueError: x"),
    (TRACE + "epoch 5 loss: 0.25\nepoch 6 loss: 0.25\n", Fault.NONE, None),
    # on the side: it ends no process
    ("epoch 1 loss: 0.5\nException ignored in: <function _x at 0x1>\n" + TRACE + "AttributeError: x\n", Fault.NONE, None),
    ("epoch 1 loss: 0.5\n--- Logging error ---\n" + TRACE + "OSError: disk\nMessage: 'a'\n", Fault.NONE, None),
    ("epoch 1 loss: 0.5\nException ignored in: <module 'threading'>\n" + TRACE + "KeyboardInterrupt:\n", Fault.INTERRUPTED, "KeyboardInterrupt:"),
    ("2021-03-01 10:00:00.1: F tensorflow/core/x.cc:12] Check failed: a == b\nAborted (core dumped)\n", Fault.EXCEPTION, "F tensorflow/core/x.cc:12] Check failed: a == b"),
    ("libc++abi.dylib: terminating with uncaught exception of type std::runtime_error: x\n", Fault.EXCEPTION, "libc++abi.dylib: terminating with uncaught exception of type std::runtime_error: x"),
    (TRACE + "RuntimeError: DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes\n", Fault.OOM, "RuntimeError: DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes"),
    # without numbers: it begins, another run is appended, its loggers have much to say
    (TRACE + "ImportError: no plugin\nW | 06-21 | jax | Falling back to cpu.\n", Fault.NONE, None),
    (TRACE + "ImportError: no plugin\n[__main__][INFO] - Starting training!\n", Fault.NONE, None),
    (TRACE + "ImportError: x\nTo restart the training, run it again\nCould not start training\n", Fault.EXCEPTION, "ImportError: x"),
    ("nohup: ignoring input\n" + TRACE + "KeyboardInterrupt\nnohup: ignoring input\nReading data\n", Fault.NONE, None),
    ("nohup: ignoring input\n" + TRACE + "KeyboardInterrupt\nnohup: ignoring input\n", Fault.INTERRUPTED, "KeyboardInterrupt"),
    ("nohup: ignoring input\n" + TRACE + "OSError: x\nnohup: ignoring input\n" + TRACE + "ValueError: y\n", Fault.EXCEPTION, "ValueError: y"),
    (TRACE + "OSError: x\n" + "".join(f"[INFO] - doing {name} now\n" for name in "abcdefghijklmnopqrst"), Fault.NONE, None),
    (TRACE + "OSError: x\n" + "".join(f"[INFO] - Killing subprocess {i}\n" for i in range(99)), Fault.EXCEPTION, "OSError: x"),
    # chains
    (TRACE + "KeyError: 'lr'\n\nDuring handling of the above exception, another exception occurred:\n\n" + TRACE + "RuntimeError: no config\n", Fault.EXCEPTION, "KeyError: 'lr'"),
    (TRACE + "ZeroDivisionError: division by zero\n\nThe above exception was the direct cause of the following exception:\n\n" + TRACE + "TrainError: failed\n", Fault.EXCEPTION, "ZeroDivisionError: division by zero"),
    (TRACE + "queue.Empty\n\nDuring handling of the above exception, another exception occurred:\n\n" + TRACE + "KeyboardInterrupt\n", Fault.INTERRUPTED, "KeyboardInterrupt"),
    (TRACE + "AssertionError: oh\nE1122 agent: failed (exitcode: 1) local_rank: 0 (pid: 4711)\n" + TRACE + "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n====\n", Fault.EXCEPTION, "AssertionError: oh"),
    ("[rank1]: " + TRACE.replace("\n", "\n[rank1]: ") + "IndexError: out of range\n", Fault.EXCEPTION, "IndexError: out of range"),
    (TRACE + "BrokenPipeError: [Errno 32] Broken pipe\n" + TRACE + "ValueError: bad label 7\n", Fault.EXCEPTION, "ValueError: bad label 7"),
    # no traceback
    ("Killed\n", Fault.KILLED, "Killed"),
    ("run.sh: line 3: 12345 Killed                  python train.py\n", Fault.KILLED, "run.sh: line 3: 12345 Killed                  python train.py"),
    ("Killed\nslurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.batch.\n", Fault.OOM, "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.batch."),
    ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n", Fault.TIMEOUT, "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***"),
    ("Keyboard interrupt detected in the event loop, exiting...\n", Fault.INTERRUPTED, "Keyboard interrupt detected in the event loop, exiting..."),
    ("Segmentation fault (core dumped)\n", Fault.KILLED, "Segmentation fault (core dumped)"),
    ("usage: train.py [-h] [--lr LR]\ntrain.py: error: unrecognized arguments: --lrr\n", Fault.EXCEPTION, "train.py: error: unrecognized arguments: --lrr"),
    ("the model killed it on the leaderboard\nNo errors found\n0 errors\n", Fault.NONE, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault", "exception"), FAULTS, ids=[f"{i}-{f.value}" for i, (_, f, _) in enumerate(FAULTS)]
)
def test_faults_in_text(text, fault, exception):
    verdict = read(text)[0].fault
    assert (verdict.fault, verdict.exception) == (fault, exception)


def test_a_known_epoch_ends_the_rule_for_the_first_one():
    assert read("epoch 1 step 5\nepoch 2 step 6\n")[0].progress == Progress(2, None, "epoch")


def test_a_traceback_gives_no_points():
    assert read(TRACE + "ValueError: expected dim=3\n")[1] == []


def test_closing_numbers_do_not_clear_a_fault():
    text = (
        "epoch 1 loss: 0.5\n"
        + TRACE
        + "ValueError: x\nwandb: loss 0.5\nExited with exit code 1.\n    Max Processes :   10\n"
    )
    assert read(text)[0].fault.exception == "ValueError: x"


def test_a_gradient_that_overflows_in_mixed_precision_is_no_non_finite_metric():
    reader, _ = read("step 1 loss: 2.0 grad_norm: inf loss_scale: inf\nstep 2 loss: 1.9 grad_norm: nan\n")
    assert reader.non_finite is None
    assert reader.fault.fault is Fault.NONE
    assert reader.series["grad_norm"].bad == 2


def test_non_finite_names_the_first_metric():
    reader, _ = read("AP_small: nan\nloss: nan\n")
    assert reader.non_finite == "AP_small"
    assert reader.series["loss"].bad == 1
    assert reader.series["loss"].highest is None


def ranked(form: str, ranks: int = 2) -> str:
    """Some epochs of ranks that write in turn, the last one first; each has a loss of its own."""
    lines = ["Loading the data", "Building the model"]
    lines += [f"epoch {epoch}/5 loss: 0.{5 - epoch}{{rank}}" for epoch in range(5)]
    return "".join(
        form.format(rank=rank) + line.format(rank=rank) + "\n" for line in lines for rank in reversed(range(ranks))
    )


@pytest.mark.parametrize(
    "form",
    ["[rank{rank}]: ", "[default{rank}]:", "[trainer{rank}]:", "[1,{rank}]<stdout>:", "[1,{rank}]<stderr>: ", "[prterun-node01-77@1,{rank}]<stdout>: ", "(rank {rank}) ", "(rank {rank}): ", "worker-{rank}: ",
     "2024-03-01 10:00:00 [rank{rank}]: ", "{rank}: ", "{rank}: [default0]:", " {rank}: ", "[{rank}]: "],
)  # fmt: skip
def test_of_several_ranks_the_first_counts(form):
    reader, points = read(ranked(form))
    assert [point.value for point in points] == [0.51, 0.41, 0.31, 0.21, 0.11]
    assert reader.progress == Progress(4, 5, "epoch")


def test_of_rays_workers_the_first_counts():
    text = ranked("\x1b[36m(RayTrainWorker pid={rank}77, ip=10.0.0.{rank})\x1b[0m ").replace("pid=077", "pid=976")
    reader, _ = read("(train pid=12) acc: 0.5\n" + text)
    assert (reader.series["loss"].final, reader.series["loss"].count) == (0.11, 5)
    assert reader.series["acc"].final == 0.5


def test_one_who_is_gone_is_replaced():
    text = "(train pid=1) loss: 0.5\n" * 3 + "".join(f"(train pid=2) loss: 0.{9999 - i}\n" for i in range(400))
    assert read(text)[0].series["loss"].final == 0.96


def test_what_is_unmarked_beside_ranks_is_of_rank_0():
    text = "epoch {e} loss: 0.{l}0\n[rank1]: epoch {e} loss: 0.{l}1\n"
    reader, _ = read("".join(text.format(e=e, l=9 - e) for e in range(4)))
    assert [reader.series["loss"].final, reader.series["loss"].count] == [0.6, 4]
    text = "[rank1]: epoch {e} loss: 0.{l}1\nepoch {e} loss: 0.{l}0\n[rank0]: note\n"
    reader, _ = read("".join(text.format(e=e, l=9 - e) for e in range(4)))
    assert [reader.series["loss"].final, reader.series["loss"].count] == [0.6, 5]  # the first one was rank 1's


def test_a_bar_keeps_the_rank_that_it_begins_with():
    bars = "".join(
        f"[1,{rank}]<stderr>:\r 10%|#| 1/9 [0:1<0:1, 1it/s, loss=0.5{rank}]\r 20%|#| 2/9 [0:1<0:1, 1it/s, loss=0.4{rank}]\n"
        for rank in (0, 1)
    )
    assert [point.value for point in read(bars)[1]] == [0.5, 0.4]


def test_headings_and_tables_of_ranks_that_mix():
    lines = ["epoch  train_loss  val_acc", "1  0.5{rank}  0.7{rank}", "2  0.4{rank}  0.8{rank}"]
    text = "".join(f"[1,{rank}]<stdout>:" + line.format(rank=rank) + "\n" for line in lines for rank in (0, 1, 2))
    reader, _ = read(text)
    assert (reader.series["val_acc"].final, reader.series["val_acc"].count) == (0.8, 2)


@pytest.mark.parametrize(
    "text",
    ["".join(f"{i}: loss: 0.{i}1\n" for i in range(1, 10)), "".join(f"{i}:\tlearn: 0.{i}1\ttotal: 1ms\n" for i in range(1, 10)),
     "".join(f"epoch {e}\n" + "".join(f"{i}: loss: 0.{e}{i}\n" for i in range(4)) for e in range(5)),
     "".join(f"12:0{i}:03 loss: 0.{i}1\n13:0{i}:03 loss: 0.{i}2\n" for i in range(9)),
     "".join(f"   {i}: core::ops::function call\n" for i in range(9)) + "1: loss: 0.5\n2: loss: 0.4\n"],
    ids=["counter", "catboost", "batches", "clock", "frames"],
)  # fmt: skip
def test_a_counter_in_front_is_no_rank(text):
    reader, _ = read(text)
    assert not reader._labels.are_ranks
    assert sum(series.count for series in reader.series.values()) == text.count("0.")


@pytest.mark.parametrize(
    "ranks", [["[rank0]: ", "[rank1]: "], ["", "[rank3]: "], ["", "(rank 1) 2024-03-01 10:00:00 INFO: "]]
)
def test_a_list_of_classes_of_which_every_rank_prints_its_own(ranks):
    lines = ["epoch {e}", "cat: acc 0.{e}1", "dog: acc 0.{e}2", "mean: acc 0.{e}3"]
    text = "".join(rank + line.format(e=e) + "\n" for e in range(1, 4) for line in lines for rank in ranks)
    reader, points = read(text)
    assert {name: one.final for name, one in reader.series.items()} == {"cat acc": 0.31, "dog acc": 0.32, "acc": 0.33}
    assert [point.epoch for point in points] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert in_pieces(text.encode(), list(range(len(text)))) == everything(reader, points)


def test_a_row_that_waits_is_of_its_own_rank():
    text = "[rank0]: cat: acc 0.5\n[rank1]: cat: acc 0.4\n[rank1]: dog: acc 0.3\n[rank0]: done 1\n[rank0]: end 1\n"
    assert [(point.name, point.value, point.line) for point in read(text)[1]] == [("acc", 0.5, 1)]


@pytest.mark.parametrize("again", ["\x1b[2A\r", "\x1b[2A\r\x1b[J", "\x1b[2F"])
def test_a_list_of_classes_that_is_drawn_again_says_only_what_is_new(again):
    text = "cat: acc 0.5\ndog: acc 0.6\n" + again + "cat: acc 0.5\ndog: acc 0.7\n"
    assert [(point.name, point.value) for point in read(text)[1]] == [
        ("cat acc", 0.5),
        ("dog acc", 0.6),
        ("dog acc", 0.7),
    ]
    text = "cat: acc 0.5\n\x1b[A\rcat: acc 0.5\n\x1b[A\rcat: acc 0.6\n"
    assert [(point.name, point.value) for point in read(text)[1]] == [("acc", 0.5), ("acc", 0.6)]


def test_a_row_that_waits_is_told_when_its_list_does_not_go_on():
    reader = LogReader()
    assert reader.feed(b"cat: acc 0.5\n") == []
    assert [point.value for point in reader.feed(b"some words\nand more\n")] == [0.5]
    assert [point.value for point in read("cat: acc 0.5\racc: 0.5\racc: 0.6\n")[1]] == [0.5, 0.6]
    reader.feed(b"cat: f1 0.5\n")
    reader.restart()
    reader.feed(b"dog: f1 0.6\n")
    reader.finish()
    assert reader.series["f1"].count == 2


def test_a_share_behind_a_count_is_at_most_one():
    lines = ["acc: 95/100 (5.5)", "acc: 90/100 (0.9)", "acc: 96/100 (5.5)", "acc: 70/100 (1.0)"]
    for order in (lines, lines[::-1]):
        assert {line: pairs(line) for line in order} == dict(
            zip(lines, [{}, {"acc": 0.9}, {}, {"acc": 1.0}], strict=True)
        )


def test_a_traceback_beside_another_ranks_words_is_its_own():
    text = "[1,1]<stderr>:Exception ignored in: <f>\n[1,0]<stderr>:Traceback (most recent call last):\n"
    rest = '[1,0]<stderr>:  File "a.py", line 1, in f\n[1,0]<stderr>:ValueError: x\n'
    assert read(text + rest)[0].ends_in_exception
    assert not read(text.replace("[1,1]", "[1,0]") + rest)[0].ends_in_exception
    assert not read((text + rest).replace("[1,0]", "[1,1]"))[0].ends_in_exception


SAMPLE = (
    "Epoch 1/3\r\n"
    "\r 0%|   | 0/4 [00:00<?, ?it/s]\r 50%|#  | 2/4 [00:01<00:01, 2it/s, loss=0.7]\r100%|###| 4/4 [00:02<00:00, 2it/s, loss=0.6]\n"
    "{'eval_loss': 0.5, 'epoch': 1.0}\n"
    "\x1b[32mval acc: 86.4%\x1b[0m größe: 3,5 ünï\n\n"
    + TRACE
    + "KeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\n"
    + TRACE
    + "RuntimeError: CUDA out of memory.\n"
    "p: 50%\np: 0.4\ncat: acc 0.9\ndog: acc 0.8\nmean: acc 0.85\nresult: f1 0.8\nresult: f1 0.8\n"
    "epoch 4 train_loss 0.9 val_loss 0.8 f1 0.7\n"
    "\n 10%|#| 1/10 [0:00<0:01, 9it/s, loss=0.3]\x1b[A\r\x1b[2Kloss: 0.2\x1b[3D0.1\x1b[K\n\n"
    "1/2 [=>...] - loss: 0.9\b\b\b\b2/2 [=====] - loss: 0.8"
).encode()


def everything(reader: LogReader, points: list) -> tuple:
    values = tuple((p.name, repr(p.value), p.step, p.epoch, p.line) for p in points)
    series = tuple(repr(one) for one in reader.series.values())
    return (
        values, series, reader.progress, reader.fault, reader.steps_seen, reader.lines, tuple(reader.tail), reader.non_finite,
        reader.beside_validation, reader.unhandled, reader.ends_in_exception,
    )  # fmt: skip


def in_pieces(data: bytes, cuts: list[int]) -> tuple:
    reader, points = LogReader(), []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        points += reader.feed(data[start:end])
    points += reader.finish()
    return everything(reader, points)


@given(st.lists(st.integers(0, 10_000), max_size=40))
@settings(max_examples=150, deadline=None)
def test_chunking_changes_nothing(cuts):
    assert in_pieces(SAMPLE, cuts) == in_pieces(SAMPLE, [])


def test_a_fault_in_a_row_that_comes_in_pieces_is_seen():
    data = b"ValueError: oh\x1b[C no\n"
    assert read(data)[0].fault.fault is Fault.EXCEPTION
    for cut in range(len(data)):
        assert in_pieces(data, [cut]) == in_pieces(data, [])


@given(st.sampled_from(["utf-16", "utf-16-be", "utf-8-sig"]), st.lists(st.integers(0, 10_000), max_size=40))
@example("utf-16", list(range(3000)))
@settings(max_examples=60, deadline=None)
def test_a_log_with_a_byte_order_mark_is_read_like_any_other(encoding, cuts):
    text = SAMPLE.decode() + "\U0001f600 loss: 0.25\n"
    data = text.encode(encoding)
    if encoding == "utf-16-be":
        data = b"\xfe\xff" + data
    assert in_pieces(data, cuts) == in_pieces(text.encode(), [])


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xef\xbb", b"\xff\xfel", b"\xff\xfe\x00\xd8", b"\xef\xbbloss: 0.5"])
def test_a_log_that_ends_in_its_mark_does_not_raise(data):
    assert in_pieces(data, []) == in_pieces(data, list(range(10)))


_TOKENS = st.sampled_from(
    [b"loss: 5%", b"cat: acc 0.5", b"dog: acc 0.5", b"[rank1]: ", b"loss", b"=", b": ", b"0.5", b"nan", b"\n", b"\r", b"\r\n", b"\b", b" ", b"epoch 3/9", b"{", b"}", b"'a': 1", b"\x1b[31m", b"\xff", b"\0",
     b"Traceback (most recent call last):\n", b'  File "a.py", line 1, in f\n', b"ValueError: x\n", b"Killed\n", b"|", b" 5%|# | 3/7 [0:0<0:1, 1it/s]", b"x" * 70000, b"x" * 65533]
)  # fmt: skip
_MOVES = st.sampled_from(
    [b"\x1b[A", b"\x1b[2A", b"\x1b[9F", b"\x1b[B", b"\x1b[3E", b"\x1b[K", b"\x1b[1K", b"\x1b[2K", b"\x1b[J", b"\x1b[1G", b"\x1b[12G", b"\x1b[3C", b"\x1b[2D", b"\b\b\b",
     b"\x1b[1;1H", b"\x1b[", b"loss: 0.", b"25", b"\n\n\n", b"| acc | 0.5 |\n"]
)  # fmt: skip


@given(
    st.lists(_TOKENS | _MOVES | st.binary(max_size=20), max_size=30).map(b"".join),
    st.lists(st.integers(0, 10**6), max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_anything_is_read_alike_in_any_chunks_and_never_raises(data, cuts):
    assert in_pieces(data, cuts) == in_pieces(data, [])


@given(st.text(alphabet="ab1.,:=|-/[](){}'\"% \te+naif@_", max_size=120))
@settings(max_examples=300, deadline=None)
def test_names_are_names(line):
    for name, value in read_line(line).pairs:
        assert 0 < len(name) <= 60
        assert any(c.isalpha() for c in name)
        assert isinstance(value, float)


_LOOKS_ALIKE = st.lists(
    st.sampled_from(["loss", "acc", " ", "=", ": ", ",", ".", "/", "[", "]", "(", ")", "%", "epoch ", "step ", "nan", "inf", "tensor(", "it/s", "k", "best ", "val ", "| ", "e-"])
    | st.integers(0, 1234).map(str), max_size=14,
).map("".join)  # fmt: skip


@given(_LOOKS_ALIKE, st.randoms(use_true_random=False))
@example("loss: 0,234 acc: nan.5", random.Random(1))
@settings(max_examples=500, deadline=None)
def test_a_line_is_read_alike_whichever_line_of_its_shape_came_before(line, dice):
    other = "".join(str(dice.randrange(10)) if c.isdigit() else c for c in line)
    read_line(other)
    after_another = repr(read_line(line))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shapes, "of", lambda text: b"its own: " + text.encode())
        patched.setattr(shapes, "text_of", lambda shape: shape.decode().removeprefix("its own: "))
        assert repr(read_line(line)) == after_another


def test_memory_is_bounded():
    reader = LogReader(tail_lines=5)
    for i in range(2000):
        reader.feed(b"name_%d: 1\n" % i)
    assert len(reader.series) == 500
    reader.feed(b"other: 1\n")
    assert "other" not in reader.series
    assert reader.note is not None and "1501" in reader.note
    for _ in range(200):
        reader.feed(b"loss: 0.5 " + b"x" * 65_000)
    assert len(reader._buffer) <= 64 * 1024
    reader.feed(b"\nacc: 0.5\n")
    assert reader.series["acc"].count == 1
    assert reader.series["loss"].final == 0.5
    assert all(len(line) <= 300 for line in reader.tail)
    for piece in (
        b"y\x1b[K" * 10_000,
        b"\x1b[2K1" * 10_000,
        b"\x1b[9A" * 10_000,
        b"\x1b[9C1" * 10_000,
        b"loss: 0.5\n\x1b[2A\n" * 5_000,
    ):
        reader.feed(piece)
        assert len(reader._row.text) <= 64 * 1024
        assert len(reader._earlier) <= 32
    assert len(reader.tail) == 5


def test_a_line_that_is_nearly_cocos_does_not_raise():
    for between in ("0.50.95", "0..5", ".", "9" * 400):
        read(f"Average Precision  (AP) @[ IoU={between} | area=   all | maxDets=100 ] = 0.5\n")


def test_a_counter_of_many_digits_is_none():
    assert read("epoch " + "9" * 400 + " loss 0.5\n")[0].progress in (None, Progress(0, None, "epoch"))


def test_garbage_does_not_raise():
    data = os.urandom(300_000)
    reader, _ = read(data)
    assert all(c >= " " or c == "\t" for line in reader.tail for c in line)


@pytest.mark.parametrize(
    "line",
    ["a " * 30_000, "a=" * 30_000, "1 " * 30_000, "1," * 30_000, "loss: " * 10_000, "[" * 60_000, "(A(" * 20_000, "{'a': " * 10_000, "5%|" * 20_000,
     "epoch " * 10_000, "a.b." * 15_000, "- " * 30_000, "1:" * 30_000, "|" * 60_000, "loss 1 " * 8_000, "A" * 60_000 + "=1", "━" * 20_000 + "1/2 ", "a" + " " * 60_000 + "b1", "step" + " " * 60_000 + "x1", ":" * 60_000 + "1", " " * 60_000 + "Average 1",
     "Error " * 10_000, "A" * 60_000 + "rror: 1", "a." * 30_000 + "Error", "cuda " * 12_000, "|a" + " " * 60_000 + "1", "1/2" + " " * 60_000, "x:1" + ",111" * 15_000 + "x", "{'a': tensor(" + "," * 60_000, "batch " * 10_000, "1 a" * 20_000,
     "a" * 65_000 + " 1%", "1 " + "0" * 65_000 + "x 0.5", "\x1b[0" * 21_000 + " loss 0.5 1", "epoch 1 " * 8_000, "step 5: loss 0.5, " * 3_600, "'epoch 7', " * 5_900, '"a": 1, _' + "\t " * 32_000 + "1:2:",
     "[1/" * 20_000, "1%|" + "|1/" * 20_000, "Epoch[" * 10_000, "\x1b[" * 30_000, "\x1b]" * 30_000, "12:34 " * 10_000, "/1 (1" * 12_000,
     "\b1" * 30_000, "loss: 0.5 " * 28 + "\b1" * 30_000, "\x1b[2K1" * 12_000, "\x1b[A1" * 16_000, "1\n\x1b[9A\x1b[J" * 6_000, "\x1b[99C1\x1b[9D" * 6_000, "a" * 60_000 + "\b1" * 2_000, "1\x1b[K" * 15_000],
    ids=lambda line: line[:6],
)  # fmt: skip
def test_no_line_is_slow(line):
    started = time.process_time()
    read(line + "\n")
    assert time.process_time() - started < 2.0


def test_f02_tail_is_clean_and_bounded():
    reader, _ = read("\x1b[31mred\x1b[0m\n" + "y" * 1000 + "\nold\rnew\n\n\0\0bell\x07\n", tail_lines=4, tail_chars=20)
    assert reader.tail == ["red", "y" * 19 + "…", "new", "bell"]


def test_summary_is_the_contract_document(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("Epoch 1/2\nval_acc: 0.5\nEpoch 2/2\nval_acc: nan\nloss: inf\n")
    document = summarise(log, "val_acc", "max")
    assert document["metrics"]["val_acc"] == {"final": "nan", "count": 2}
    assert document["metrics"]["loss"] == {"final": "inf", "count": 1}
    assert document["objective"] == {"name": "val_acc", "final": "nan", "best": 0.5, "best_step": 1, "count": 2}
    assert document["progress"] == {"done": 2, "total": 2, "unit": "epoch"}
    assert (document["fault"], document["exception"]) == ("nan", None)
    json.loads(json.dumps(document, allow_nan=False))


def test_summary_says_what_it_assumed():
    log = [b"epoch 1 val_loss=0.5\n", b"epoch 2 val_loss=0.7\n"]
    document = summarise(log, "loss", None)
    assert document["objective"]["name"] == "val_loss"
    assert document["objective"]["best"] == 0.5
    assert "direction min" in document["objective_note"]
    missing = summarise(log, "accuracy", None)
    assert missing["objective"] is None
    assert "val_loss" in missing["objective_note"]
    assert summarise(log, None, None)["objective"] is None


def test_what_was_measured_before_the_training_is_not_the_objective(tmp_path):
    log = tmp_path / "log"
    log.write_text("Initial: size=3 | acc=10.5\n\nround 1/2\nEvaluation: acc=25.5\nround 2/2\nEvaluation: acc=20.5\n")
    document = summarise(log, "acc", "max")
    assert document["objective"] == {"name": "evaluation_acc", "final": 20.5, "best": 25.5, "best_step": 1, "count": 2}
    assert document["metrics"]["Initial acc"] == {"final": 10.5, "count": 1}


def test_summary_refuses_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="regular file"):
        summarise(tmp_path / "fifo", None, None)


@pytest.mark.parametrize(
    ("name", "direction"),
    [("val_loss", "min"), ("FID", "min"), ("RMSE", "min"), ("perplexity", "min"), ("WER", "min"), ("accuracy", "max"), ("BLEU", "max"), ("mIoU", "max"), ("episode_reward", "max")],
)  # fmt: skip
def test_direction_by_name(name, direction):
    assert direction_of(name) == direction


def test_speed():
    lines = b"".join(
        b"epoch: %d step: %d/9999 loss: %.4f acc: %.4f lr: 1e-3\n" % (i // 100, i, 1 / (i + 1), i / 1e4)
        for i in range(3000)
    )
    started = time.process_time()
    read(lines)
    assert (time.process_time() - started) / 3000 < 300e-6  # about 30 us on the machine where it was written


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("epoch 2 Loss [ 0.71] Mean Loss [  0.64] Accuracy 0.55", {"Loss": 0.71, "Mean Loss": 0.64, "Accuracy": 0.55}),
        ("loss: [ 0.71], acc=[ 0.5]", {"loss": 0.71, "acc": 0.5}),
        ("loss: [ 0.71 0.64]", {}),  # several
    ],
)
def test_array_of_one_with_a_blank_for_its_sign(line, found):
    assert pairs(line) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("  1着的中率 : 31.4%  (20/64レース)", {"1着的中率": 31.4}),
        ("5shot acc: 0.3", {"5shot acc": 0.3}),
        ("3回目 loss: 0.5", {"loss": 0.5}),  # the third time
        ("3回目: 0.5", {}),
    ],
)
def test_name_that_begins_with_a_digit(line, found):
    assert pairs(line) == found


def test_a_count_between_rules_counts_where_nothing_else_does():
    counts = " -- 20 / 310 --\nmean loss: 2.5\n -- 30 / 310 --\nmean loss: 2.75\n"
    reader, _ = read(counts)
    assert reader.progress == Progress(30.0, 310.0, "step")
    assert reader.series["mean loss"].lowest_step == 20
    reader, _ = read("epoch 4/9\n" + counts)
    assert reader.progress == Progress(4.0, 9.0, "epoch")


@pytest.mark.parametrize("rate", ["3.5s/epoch", "2.25epoch/s"])
def test_a_bar_of_epochs_gives_their_total(rate):
    reader, _ = read(f"Epoch 6:\nval_acc=0.5\n 75%|### | 6/8 [00:21<00:07, {rate}, acc=0.5]\n")
    assert reader.progress == Progress(6, 8, "epoch")


def test_a_bar_of_batches_gives_no_total_of_epochs():
    reader, _ = read("Epoch 6:\nval_acc=0.5\n 75%|### | 6/8 [00:21<00:07, 3.5s/it, acc=0.5]\n")
    assert reader.progress == Progress(6, None, "epoch")


def test_a_validation_after_steps_of_an_epoch_is_of_the_epoch():
    log = "[7/9] iter: 40/93. Loss: 0.4\n[7/9] iter: 60/93. Loss: 0.3\nVal loss: 0.2, F1_score: 0.8\n"
    reader, _ = read(log)
    assert reader.progress == Progress(7, 9, "epoch")
    assert (reader.series["Loss"].final_step, reader.series["Val loss"].final_step) == (60, 7)


def test_a_validation_after_steps_of_the_whole_run_is_of_the_step():
    reader, _ = read("[7/9] iter: 80/108. Loss: 0.4\nVal loss: 0.2\n")
    assert reader.series["Val loss"].final_step == 80
