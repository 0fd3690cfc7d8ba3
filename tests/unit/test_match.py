"""Which metric of a log a human's name means."""

from __future__ import annotations

import itertools

import pytest

from auto_experiment.watch.metrics.match import Ambiguous, Match, Missing, match_objective

CASES = [
    ("loss", ["loss", "val_loss"], "loss"),
    ("val_accuracy", ["accuracy", "val_accuracy"], "val_accuracy"),
    ("val loss", ["train loss", "val_loss"], "val_loss"),
    ("validation loss", ["Val Loss", "Train Loss"], "Val Loss"),
    ("val_acc", ["Validation-accuracy"], "Validation-accuracy"),
    ("val_loss", ["eval_loss", "loss"], "eval_loss"),
    ("accuracy", ["acc", "loss"], "acc"),
    ("perplexity", ["ppl", "loss"], "ppl"),
    ("top-1 accuracy", ["acc@1", "acc@5"], "acc@1"),
    ("top-1 accuracy", ["top1", "top5"], "top1"),
    ("top1 acc", ["Acc@1", "Acc@5"], "Acc@1"),
    ("top-5 accuracy", ["val_acc1", "val_acc5"], "val_acc5"),
    ("accuracy", ["top1_accuracy", "top5_accuracy"], "top1_accuracy"),
    ("accuracy", ["acc@1", "acc@5"], "acc@1"),
    ("accuracy", ["Acc@1", "Acc@5"], "Acc@1"),
    ("accuracy", ["acc", "acc@1"], "acc"),
    ("accuracy", ["train_acc", "val_top1"], "val_top1"),
    ("val accuracy", ["val_acc1", "train_acc"], "val_acc1"),
    ("error", ["top1_error", "top5_error"], "top1_error"),
    ("error", ["err@1", "err@5"], "err@1"),
    ("top-1 accuracy", ["accuracy", "top5"], "accuracy"),
    ("top-1 error", ["val_error", "top5_error"], "val_error"),
    ("FID", ["fid", "IS_mean"], "fid"),
    ("FID score", ["FID", "IS"], "FID"),
    ("accuracy", ["train_acc", "val_acc", "test_acc"], "val_acc"),
    ("accuracy", ["train_acc", "test_acc"], "test_acc"),
    ("accuracy", ["train_acc"], "train_acc"),
    ("acc", ["test_accuracy", "accuracy", "train_accuracy"], "accuracy"),
    ("accuracy", ["acc", "val_acc"], "val_acc"),
    ("acc", ["acc", "val_acc"], "acc"),
    ("test accuracy", ["val_acc", "test_acc"], "test_acc"),
    ("train loss", ["Training Loss", "Validation Loss"], "Training Loss"),
    ("mIoU", ["val_mIoU", "mIoU_train"], "val_mIoU"),
    ("loss", ["train/loss", "val/loss"], "val/loss"),
    ("CrossEntropyLoss", ["train/CrossEntropyLoss"], "train/CrossEntropyLoss"),
    ("valLoss", ["val_loss"], "val_loss"),
    ("val loss", ["val_loss", "eval_loss", "val loss 2"], "val_loss"),
    ("mean_reward", ["eval/mean_reward", "eval_episode_reward", "rollout/ep_rew_mean"], "eval/mean_reward"),
    ("F1", ["F2", "f1_macro_weighted_x"], "f1_macro_weighted_x"),
    ("f1", ["klue_re_micro_f1", "loss"], "klue_re_micro_f1"),
    ("mean average precision", ["mAP", "AP50"], "mAP"),
    ("mAP", ["bbox/AP", "bbox/AP50", "bbox/AR1"], "bbox/AP"),
    ("mAP@0.5", ["mAP50", "mAP50-95"], "mAP50"),
    ("mAP@0.5", ["mAP@.5", "mAP@.5:.95"], "mAP@.5"),
    ("mAP50-95", ["mAP@.5", "mAP@.5:.95"], "mAP@.5:.95"),
    ("metrics/mAP50(B)", ["mAP50", "mAP50-95"], "mAP50"),
    ("recall at 1", ["R@1", "R@10"], "R@1"),
    ("hit rate", ["HR@10", "NDCG@10", "Initial HR@10"], "HR@10"),
    # what is written out in full, or parted differently
    ("unlabeled attachment score", ["UAS", "LAS"], "UAS"),
    ("labeled attachment score", ["UAS", "LAS"], "LAS"),
    ("LL", ["Log-likelihood", "loss"], "Log-likelihood"),
    ("negative log likelihood", ["nll", "Log-likelihood"], "nll"),
    ("log marginal likelihood", ["MLL", "LL"], "MLL"),
    ("peak signal to noise ratio", ["test_PSNR", "test_SSIM"], "test_PSNR"),
    ("R-squared", ["R2", "rmse"], "R2"),
    ("dice coefficient", ["val_dice_coef", "dice_coef", "loss"], "val_dice_coef"),
    ("language model loss", ["lm loss", "loss scale"], "lm loss"),
    ("generator loss", ["loss_G", "loss_D"], "loss_G"),
    ("discriminator loss", ["dloss", "gloss"], "dloss"),
    ("log-prob AUC", ["LOGPROB AUC", "PROB AUC", "LOGPROB_BASE AUC"], "LOGPROB AUC"),
    ("clustering accuracy", ["Acc", "nmi", "best Acc"], "Acc"),
    ("training accuracy", ["Correct", "alpha"], "Correct"),
    ("accuracy", ["train_Correct", "test_Correct", "loss"], "test_Correct"),
    ("accuracy", ["val_correct", "train_acc"], "val_correct"),
    ("percent correct", ["Correct", "alpha"], "Correct"),
    ("success rate", ["SR", "Q"], "SR"),
    ("average displacement error", ["ADE", "FDE"], "ADE"),
    ("total loss", ["L_total", "L_adv", "L_con"], "L_total"),
    ("adversarial loss", ["L_adversarial loss", "L_con"], "L_adversarial loss"),
    ("log probability", ["logprob", "test_logprob"], "logprob"),
    ("entity F1", ["FB1", "precision"], "FB1"),
    ("average precision", ["Average_precission", "loss"], "Average_precission"),
    ("reward", ["r", "avg_r", "ploss"], "r"),
    ("average reward", ["ave_R", "std_R", "max_R"], "ave_R"),
    ("reward", ["r", "reward"], "reward"),
    ("best loss", ["loss", "lr"], "loss"),
    ("best loss", ["loss", "best loss"], "best loss"),
    ("scale-invariant signal-to-distortion ratio", ["SI-SDR", "SDR"], "SI-SDR"),
    ("Test net output #0: loss", ["test_loss", "train_loss", "loss"], "test_loss"),
    ("Test net output #1: accuracy", ["test_loss", "test_accuracy"], "test_accuracy"),
    ("log loss", ["eval-mlogloss", "train-mlogloss"], "eval-mlogloss"),
    ("F-score", ["NER F", "NER P", "NER R"], "NER F"),
    ("f-measure", ["f1", "precision"], "f1"),
    ("hit rate at 10", ["hit@10", "ndcg@10"], "hit@10"),
    ("rank-1 accuracy", ["Rank-1", "Rank-5", "mAP"], "Rank-1"),
    ("Cohen's kappa", ["kappa", "acc"], "kappa"),
    ("Pearson correlation", ["pearson", "spearmanr"], "pearson"),
    ("Pearson correlation", ["val_PLCC", "val_SRCC"], "val_PLCC"),
    ("test accuracy", ["Final Test", "Highest Valid"], "Final Test"),
    ("test accuracy", ["Final Test", "Test"], "Test"),
    ("SROCC", ["val_PLCC", "val_SRCC"], "val_SRCC"),
    ("validation Pearson", ["Train PCC", "Valid PCC"], "Valid PCC"),
    ("L1 loss", ["G_L1", "D_real"], "G_L1"),
    ("dice", ["DSC", "HD95"], "DSC"),
    ("Hausdorff distance", ["DSC", "HD95"], "HD95"),
    ("IoU", ["Jaccard index"], "Jaccard index"),
    ("average displacement error", ["ADE", "FDE"], "ADE"),
    ("BLEU", ["sacrebleu"], "sacrebleu"),
    ("balanced accuracy", ["val_bal_acc", "val_acc"], "val_bal_acc"),
    ("area under the precision-recall curve", ["val_pr_auc", "val_auc"], "val_pr_auc"),
    ("AUPRC", ["AUC-PR", "AUC-ROC"], "AUC-PR"),
    ("AUC", ["val_auprc", "val_auc"], "val_auc"),
    (
        "test accuracy",
        ["\u6574\u4f53\u6d4b\u8bd5\u96c6\u4e0a\u7684\u6b63\u786e\u7387"],
        "\u6574\u4f53\u6d4b\u8bd5\u96c6\u4e0a\u7684\u6b63\u786e\u7387",
    ),
    ("val loss", ["\u691c\u8a3c\u640d\u5931", "\u5b66\u7fd2\u640d\u5931"], "\u691c\u8a3c\u640d\u5931"),
    (
        "validation accuracy",
        ["\uac80\uc99d \uc815\ud655\ub3c4", "\ud559\uc2b5 \uc815\ud655\ub3c4"],
        "\uac80\uc99d \uc815\ud655\ub3c4",
    ),
    ("Spearman correlation coefficient", ["pearson", "spearmanr"], "spearmanr"),
    ("KL divergence", ["recon_loss", "kl_loss"], "kl_loss"),
    ("reconstruction loss", ["recon_loss", "kl_loss"], "recon_loss"),
    ("win rate", ["winrate", "draws"], "winrate"),
    ("macro-averaged F1", ["macro_f1", "micro_f1"], "macro_f1"),
    ("bits per dimension", ["bits/dim", "gnorm"], "bits/dim"),
    ("final loss", ["loss", "lr"], "loss"),
    ("pixel accuracy", ["pixAcc", "mIoU"], "pixAcc"),
    # a split and nothing else
    ("accuracy", ["Train", "Valid", "Test", "Loss"], "Valid"),
    ("accuracy", ["Train", "Test", "Loss"], "Test"),
    ("average reward over the last 100 episodes", ["Average reward", "epsilon"], "Average reward"),
    ("rouge-l", ["rouge1", "rougeL", "rougeLsum"], "rougeL"),
    ("reward", ["rollout/ep_rew_mean", "rollout/ep_len_mean"], "rollout/ep_rew_mean"),
    ("mean episode reward", ["episode_reward_mean", "episode_reward_max"], "episode_reward_mean"),
    ("auc", ["training auc", "valid_1 auc"], "valid_1 auc"),
    ("val acc", ["train", "val", "loss"], "val"),
    ("train loss", ["loss", "val_loss"], "loss"),
    ("eval ppl", ["ppl", "loss"], "ppl"),
    ("AP", ["best AP", "loss"], "best AP"),
    ("dev BLEU-4", ["dev_BLEU-4", "validation_BLEU-4"], "dev_BLEU-4"),
    ("cycle A loss", ["cycle_A", "cycle_B", "G_A"], "cycle_A"),
    ("total loss", ["loss", "loss_cls"], "loss"),
    ("word error rate", ["WER", "CER"], "WER"),
    ("mean IoU", ["val_mIoU", "pixAcc"], "val_mIoU"),
    ("acuracia", ["acur\u00e1cia"], "acur\u00e1cia"),
    ("val acc", ["\u8bad\u7ec3\u51c6\u786e\u7387", "\u9a8c\u8bc1\u51c6\u786e\u7387"], "\u9a8c\u8bc1\u51c6\u786e\u7387"),
    ("coco AP", ["test_coco_eval_bbox", "test_loss"], "test_coco_eval_bbox"),
    ("generator loss", ["dloss", "gloss"], "gloss"),
    ("discriminator loss", ["d_loss", "g_loss"], "d_loss"),
    ("G loss", ["Generator Loss", "Discriminator Loss"], "Generator Loss"),
    ("mIoU", ["MeanIU", "Best_mIoU"], "MeanIU"),
    ("peak signal-to-noise ratio", ["PSNR", "SSIM"], "PSNR"),
    ("structural similarity", ["PSNR", "SSIM"], "SSIM"),
    ("validation dice coefficient", ["val_dice_coef", "val_loss"], "val_dice_coef"),
    ("clustering accuracy", ["ACC", "NMI"], "ACC"),
    ("detection AP", ["AP", "loss"], "AP"),
    ("classification loss", ["cls_loss", "classification_loss"], "classification_loss"),
    ("language model loss", ["lm loss", "grad norm"], "lm loss"),
    ("log marginal likelihood", ["MLL", "ELBO"], "MLL"),
    ("unlabeled attachment score", ["UAS", "LAS"], "UAS"),
    ("labelled attachment score", ["UAS", "LAS"], "LAS"),
    ("Test net output #0: loss", ["test_loss", "train_loss", "loss"], "test_loss"),
    # its own spelling before a synonym
    ("Perplexity", ["eval_Perplexity", "eval_PPL", "PPL"], "eval_Perplexity"),
    ("acc", ["val acc", "val accuracy", "loss"], "val acc"),
]


@pytest.mark.parametrize(("metric", "names", "wanted"), CASES, ids=[f"{m}-{i}" for i, (m, _, _) in enumerate(CASES)])
def test_match(metric, names, wanted):
    for order in itertools.permutations(names):
        answer = match_objective(metric, order)
        assert isinstance(answer, Match), answer
        assert answer.name == wanted


@pytest.mark.parametrize(
    ("metric", "names"),
    [
        ("accuracy", ["val_acc", "valid_accuracy"]),
        ("accuracy", ["Accuracy", "acc"]),
        ("loss", ["bbox_loss", "cls_loss"]),
        ("AP", ["bbox/AP", "segm/AP"]),
        ("BLEU-4", ["dev_BLEU-4", "validation_BLEU-4"]),
        ("accuracy", ["masked_lm_acc", "nsp_acc"]),
        ("f1", ["entity_f1", "micro_relation_f1"]),
    ],
)
def test_two_candidates_are_never_settled_by_a_guess(metric, names):
    answer = match_objective(metric, names)
    assert isinstance(answer, Ambiguous)
    assert set(answer.candidates) <= set(names)
    assert len(answer.candidates) == 2


@pytest.mark.parametrize(
    ("metric", "names"),
    [
        ("accuracy", []),
        ("accuracy", ["loss", "val_loss"]),
        ("F1", ["val", "test", "loss"]),
        ("macro F1", ["micro_f1", "loss"]),
        ("val loss", ["train loss", "loss"]),
        ("test_acc", ["val_acc", "acc"]),
        ("val loss", ["train", "val", "loss"]),
        ("dev f1", ["f1-score", "DEV score"]),
        ("top-1 accuracy", ["acc@5", "top5"]),
        ("accuracy", ["acc@5", "top5_error", "acc10"]),
        ("error", ["top5_error", "top1_accuracy"]),
        ("F1", ["F2", "f12"]),
        ("reward", ["reward_std", "reward_max"]),
        ("mAP", ["mAP goal", "previous mAP"]),
        ("mean squared error", ["r", "L_total"]),
        ("success rate", ["lr", "s"]),
        ("", ["loss"]),
    ],
)
def test_missing(metric, names):
    answer = match_objective(metric, names)
    assert isinstance(answer, Missing)
    assert answer.seen == tuple(sorted(names))


def test_it_says_how():
    assert match_objective("acc", ["acc"]) == Match("acc", "exact")
    assert match_objective("acc", ["Accuracy"]) == Match("Accuracy", "same name")
    assert match_objective("acc", ["val_acc"]) == Match("val_acc", "validation split of acc")


def test_a_name_that_the_metric_does_not_touch_changes_nothing():
    names = ["val_acc", "loss"]
    before = match_objective("accuracy", names)
    assert match_objective("accuracy", [*names, "lr", "grad_norm", "train_acc", "test_acc"]) == before


def test_of_longer_names_the_one_whose_words_the_others_have_too_is_nearest():
    names = ["nsp_acc", "masked_nsp_acc", "nsp_acc_smoothed"]
    assert match_objective("accuracy", names) == Match("nsp_acc", "the nearest name with accuracy in it")


def test_what_is_printed_beside_the_validation_is_the_validations():
    names, beside = ["train_loss", "valid_loss", "accuracy", "error_rate"], {"accuracy", "error_rate"}
    said = "printed beside the validation's other metrics"
    for asked, name in (("validation accuracy", "accuracy"), ("val_error_rate", "error_rate"), ("dev acc", "accuracy")):
        assert match_objective(asked, names, beside_validation=beside) == Match(name, said)
        assert isinstance(match_objective(asked, names), Missing)
        assert isinstance(match_objective(asked, names, loosely=False, beside_validation=beside), Missing)
    for asked in ("test accuracy", "train accuracy", "validation f1"):
        assert isinstance(match_objective(asked, names, beside_validation=beside), Missing)
    assert match_objective("val loss", names, beside_validation=beside) == Match("valid_loss", "same name")
    own = [*names, "val_acc"]
    assert match_objective("validation accuracy", own, beside_validation=beside) == Match("val_acc", "same name")
