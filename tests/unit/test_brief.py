"""PROJECT_BRIEF.md: its sections, what each states, what is refused, and that no text can break the reading."""

import hashlib
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.brief import MAX_BYTES, load_brief, parse_brief
from auto_experiment.errors import BriefError
from auto_experiment.records.brief import Parameter

GOAL = "# Goal\nreach 78% accuracy\n"

FULL = """\
# CIFAR with a small network

<!-- To be filled in.
# Goal
-->
## Goal
Reach 78%+ top-1 accuracy.   <!-- # Frozen -->

### Why
It is a good start.

## Codebase
- Training: `torchrun --nproc_per_node 2 train.py --cfg x` (PyTorch)
```bash
# Search Space
python other.py
```

## Constraints
- GPU 0-3 (24 GB each)
- max 2 hours per run

## Notes
Training: not_this.py

## Current Best
72.3% accuracy

## Search Space
- --lr: 1e-4 .. 1e-1 log
- --hidden: 32 .. 512 int
- --optimizer: [sgd, adam]

## Frozen
- `eval.py`: the judge
- data/**
"""


def refusal(text):
    with pytest.raises(BriefError) as refused:
        parse_brief(text)
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    assert refused.value.exit_status == 2
    return message


def section(title, body):
    return parse_brief(f"{GOAL}# {title}\n{body}\n")


# --- the whole


def test_a_full_brief():
    brief = parse_brief(FULL)
    assert brief.text == FULL
    assert brief.digest == hashlib.sha256(FULL.encode()).hexdigest()
    assert brief.goal == "Reach 78%+ top-1 accuracy.   \n\nIt is a good start."
    assert (brief.metric, brief.direction, brief.target, brief.target_is_percent) == ("accuracy", "max", 0.78, True)
    assert brief.command == "torchrun --nproc_per_node 2 train.py --cfg x"
    assert brief.gpus == "0,1,2,3"
    assert (brief.current_best, brief.current_best_is_percent) == (0.723, True)
    assert brief.search_space == (
        Parameter("--lr", "float", 1e-4, 1e-1, log=True),
        Parameter("--hidden", "int", 32, 512),
        Parameter("--optimizer", "choice", choices=("sgd", "adam")),
    )
    assert brief.frozen == ("eval.py", "data/**")
    assert brief.notices == ()


def test_line_ends_and_a_byte_order_mark_change_nothing():
    for text in (FULL.replace("\n", "\r\n"), "\ufeff" + FULL, FULL.replace("\n", "\r")):
        assert parse_brief(text) == parse_brief(FULL)


def test_only_a_goal_is_needed():
    brief = parse_brief(GOAL)
    assert (brief.command, brief.gpus, brief.search_space, brief.frozen, brief.current_best) == (
        None,
        None,
        (),
        (),
        None,
    )
    assert brief.notices == ()


def test_a_goal_that_is_not_understood_is_a_notice():
    brief = parse_brief("# Goal\nMake it gut, schön und 好\n")
    assert brief.metric is None
    assert brief.goal == "Make it gut, schön und 好"
    assert any("no metric was understood" in notice and "config.yaml" in notice for notice in brief.notices)


# --- sections


@pytest.mark.parametrize(
    "heading",
    ["# Goal", "## goal", "###### GOAL ##", "#Goal", "# Goal:", "# **Goal**", "# 1. Goal", "# 🎯 Goal", "  # Goals", "# Objective", "# Goal (2024)", "#\tGoal"],
)  # fmt: skip
def test_headings_that_open_the_goal(heading):
    assert parse_brief(f"{heading}\nFID < 5\n# Other\nx").goal == "FID < 5"


def test_a_heading_may_hold_the_goal():
    assert parse_brief("# Goal: reach 78% accuracy\n").target == 0.78


def test_underlined_headings():
    brief = parse_brief("Goal\n====\nFID < 5\n\nCodebase\n-----\nTraining: a.py\n")
    assert (brief.goal, brief.command) == ("FID < 5", "a.py")


def test_a_goal_before_any_section_is_taken_and_said():
    brief = parse_brief("# My project\nReach 78% accuracy.\n## Codebase\nTraining: train.py\n")
    assert (brief.goal, brief.target) == ("Reach 78% accuracy.", 0.78)
    assert any("no `# Goal` section" in notice for notice in brief.notices)


def test_a_section_twice_is_one():
    assert parse_brief(f"{GOAL}# Frozen\na.py\n# Notes\nx\n# Frozen\nb.py").frozen == ("a.py", "b.py")


def test_an_unknown_heading_ends_a_section():
    assert parse_brief(f"{GOAL}# Frozen\n- a.py\n# Notes\n- b.py\n## More\n- c.py").frozen == ("a.py",)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Serch Space", "Search Space"),
        ("Constrains", "Constraints"),
        ("Curent best", "Current Best"),
        ("Frozn", "Frozen"),
    ],
)
def test_a_mistyped_heading_is_said(typed, meant):
    notices = parse_brief(f"{GOAL}## {typed}\n- x\n").notices
    assert any(f'"{typed}"' in notice and f'"{meant}"' in notice and "line 3" in notice for notice in notices)


def test_what_is_never_closed_swallows_nothing():
    for opening in ("<!-- oops", "```python", "~~~"):
        brief = parse_brief(f"{GOAL}{opening}\n# Frozen\n- a.py\n")
        assert brief.frozen == ("a.py",)
        assert any("line 3" in notice and "never closed" in notice for notice in brief.notices)


def test_a_comment_in_a_fence_and_a_fence_in_a_comment():
    text = f"{GOAL}<!--\n```\n-->\n# Frozen\n- a.py\n```\n<!--\n```\n- b.py\n"
    assert parse_brief(text).frozen == ("a.py", "b.py")
    assert parse_brief(text).notices == ()


# --- codebase


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("Training: train.py", "train.py"),
        ("- Training: `torchrun --nproc_per_node 2 train.py --cfg x`", "torchrun --nproc_per_node 2 train.py --cfg x"),
        ("Train: python train.py --lr 0.1", "python train.py --lr 0.1"),
        ("training command = ./train.sh", "./train.sh"),
        ("* **Training:** train.py", "train.py"),
        ("- **Training command**: `python a.py`, logs val_loss", "python a.py"),
        ("Training script: [train.py](src/train.py)", "train.py"),
        ("Training: train.py (PyTorch)", "train.py"),
        ("Training: python -c 'print(1)'", "python -c 'print(1)'"),
        ("Training: python train.py  # the main one", "python train.py"),
        ("Training:\n```bash\n# the main one\n$ python train.py\n```", "python train.py"),
        ("Training:\n\n- `x.py`", "x.py"),
        ("Training: torchrun \\\n    --nproc_per_node 2 \\\n    train.py", "torchrun --nproc_per_node 2 train.py"),
        ("Evaluation: eval.py\nTraining: train.py\nData: data/", "train.py"),
        ("Training: a.py\nTrain: `a.py`", "a.py"),
        ("Training: Übung/träin.py", "Übung/träin.py"),
        ("Training: none", None),
        ("Training: <your command>", None),
        ("Training:", None),
        ("We train with PyTorch.", None),
        ("```\nTraining: in_a_fence.py\n```", None),
    ],
)
def test_the_training_command(text, command):
    brief = section("Codebase", text)
    assert brief.command == command
    assert brief.notices == ()


def test_two_commands_are_none():
    brief = section("Codebase", "Training: a.py\nTraining: b.py")
    assert brief.command is None
    assert any("`a.py` and `b.py`" in notice for notice in brief.notices)


def test_a_command_without_a_codebase_section():
    assert parse_brief("# Goal\nFID < 5\n# Notes\nTraining: train.py").command == "train.py"


# --- constraints


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("GPU 0-3", "0,1,2,3"), ("GPUs: 0,2", "0,2"), ("GPU 0", "0"), ("- Use GPU 1 only", "1"), ("GPUs 0 and 1", "0,1"),
        ("use GPU 0 and GPU 1", "0,1"), ("two GPUs (0 and 1)", "0,1"), ("GPU 0 to 3", "0,1,2,3"), ("GPUs: [0, 2]", "0,2"),
        ("GPU ids: 0, 1", "0,1"), ("GPU-0", "0"), ("GPU0", "0"), ("CUDA_VISIBLE_DEVICES=2,3", "2,3"), ("device cuda:1", "1"),
        ("GPU 0, 24 GB", "0"), ("GPU 0, 2 hours per run", "0"), ("GPU 0\u20132", "0,1,2"), ("gpu 1, 1", "1"),
        ("one GPU", None), ("4 GPUs", None), ("GPU memory 24 GB", None), ("GPU 24 GB", None), ("GPU 3090", None),
        ("GPU: A100 80GB", None), ("GPU 8 hours", None), ("GPU 1-2 hours", None), ("GPU budget: 20 hours", None), ("CUDA 12", None),
        ("CUDA 11.8", None), ("GPU 0.5", None), ("GPU 50%", None), ("max 2 hours per run", None), ("none", None),
    ],
)  # fmt: skip
def test_gpu_ids(text, gpus):
    brief = section("Constraints", text)
    assert brief.gpus == gpus
    assert brief.notices == ()


@pytest.mark.parametrize(
    "text", ["GPUs: 4", "GPU 3-0", "GPU 0-100", "don't use GPU 0", "all GPUs but GPU 2", "GPU 0 is reserved"]
)
def test_doubtful_gpus_are_said(text):
    brief = section("Constraints", text)
    assert brief.gpus is None
    assert any(notice.startswith("Constraints:") and "GPU" in notice for notice in brief.notices)


def test_gpus_elsewhere_are_no_constraint():
    assert section("Codebase", "runs on GPU 0").gpus is None


# --- search space


def test_a_search_space_in_a_fence_is_read():
    assert section("Search Space", "```\n- --lr: 0 .. 1\n```").search_space == (Parameter("--lr", "float", 0, 1),)


@pytest.mark.parametrize("text", ["", "none", "- N/A", "<!-- - --lr: bad -->"])
def test_no_search_space(text):
    assert section("Search Space", text).search_space == ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("- lr 0.1", "no `name: values`"),
        ("Search these:", "is not a parameter's name"),
        ("- --lr: 1 .. 0", "the low end 1 is above the high end 0"),
        ("- --lr: 0 .. 1 log", "a log range starts above 0"),
        ("- --n: 1.5 .. 3 int", "an int range has whole ends"),
        ("- --o: []", "the list is empty"),
        ("- --lr: 0 .. 1e999", "finite"),
        ("- --lr: nan .. 1", "neither a range nor a list"),
        ("- --o: [a, a]", "twice"),
    ],
)
def test_a_bad_search_space_line_is_refused(line, reason):
    message = refusal(f"{GOAL}\n# Search Space\n- --ok: [1]\n{line}\n")
    assert message.startswith("PROJECT_BRIEF.md, line 6: ")
    for fact in (line, reason, "`--lr: 1e-4 .. 1e-1 log`", "`--optimizer: [sgd, adam]`"):
        assert fact in message


def test_a_name_twice_is_refused():
    message = refusal(f"{GOAL}# Search Space\n- --lr: [1]\n- --lr: [2]\n")
    assert "line 5" in message
    assert "--lr is in the search space twice" in message


def test_whole_ends_without_int_are_asked_about():
    brief = section("Search Space", "- --batch: 16 .. 64")
    assert brief.search_space == (Parameter("--batch", "float", 16, 64),)
    assert any("line 4" in notice and "`int`" in notice for notice in brief.notices)


# --- frozen


@pytest.mark.parametrize(
    ("text", "globs"),
    [
        ("- eval.py\n- data/**", ("eval.py", "data/**")),
        ("* `eval.py`: never\n* `a b.py` and `c.py`", ("eval.py", "a b.py", "c.py")),
        ("- data/** (the splits)\n- eval.py - the judge\n- x.py # note", ("data/**", "eval.py", "x.py")),
        ("eval.py, src/*.py", ("eval.py", "src/*.py")),
        ("Nobody may change these:\n1. eval.py\n2) __init__.py", ("eval.py", "__init__.py")),
        ("```\neval.py\n```", ("eval.py",)),
        ("- eval.py\n- eval.py", ("eval.py",)),
        ("none", ()),
        ("- **\n- `*`", ("**", "*")),
        ("- größe.py", ("größe.py",)),
    ],
)
def test_frozen_files(text, globs):
    brief = section("Frozen", text)
    assert brief.frozen == globs
    assert brief.notices == ()


def test_a_frozen_item_in_words_is_said():
    brief = section("Frozen", "- the evaluation script")
    assert brief.frozen == ()
    assert any("line 4" in notice and "the evaluation script" in notice for notice in brief.notices)


# --- what is refused


@pytest.mark.parametrize(
    "text", ["", " \n\t\n", "# Goal\n", "# Goal\n\n## Codebase\n", "<!-- # Goal\nx -->", "\ufeff", "# Goal\n<!-- x -->"]
)
def test_an_empty_brief(text):
    assert "says nothing yet" in refusal(text)


def test_an_empty_goal():
    assert "line 1: the Goal is empty" in refusal("# Goal\n# Codebase\nTraining: train.py")


@pytest.mark.parametrize("text", ["# Codebase\nTraining: train.py\n", "just words\n", "# Notes\nsome text\n"])
def test_no_goal(text):
    assert "no `# Goal` section" in refusal(text)


def test_a_mistyped_goal_is_named():
    assert "did you mean it on line 3?" in refusal("# Codebase\nTraining: train.py\n# Goall\nbetter\n")


def test_nul_characters():
    assert "NUL" in refusal("# Goal\nx\0y")


def load_refusal(path):
    with pytest.raises(BriefError) as refused:
        load_brief(str(path))
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_a_brief_in_a_file(tmp_path):
    path = tmp_path / "PROJECT_BRIEF.md"
    path.write_bytes(b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode())
    assert load_brief(str(path)) == parse_brief(FULL)


def test_a_mistake_names_the_file(tmp_path):
    path = tmp_path / "PROJECT_BRIEF.md"
    path.write_text(f"{GOAL}# Search Space\nx\n")
    assert load_refusal(path).startswith(f"{path}, line 4: ")


def test_no_file(tmp_path):
    message = f"no PROJECT_BRIEF.md in {tmp_path}: write one, or `auto-experiment init` makes a commented one"
    assert load_refusal(tmp_path / "PROJECT_BRIEF.md") == message
    (tmp_path / "PROJECT_BRIEF.md").symlink_to("nowhere")
    assert load_refusal(tmp_path / "PROJECT_BRIEF.md") == message
    assert "cannot be read" in load_refusal("a\0b")


def test_files_that_are_none(tmp_path):
    assert "is a folder" in load_refusal(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    assert "is not a file" in load_refusal(tmp_path / "fifo")


def test_a_large_file(tmp_path):
    path = tmp_path / "PROJECT_BRIEF.md"
    path.write_bytes(GOAL.encode().ljust(MAX_BYTES, b"\n"))
    assert load_brief(str(path)).target == 0.78
    path.write_bytes(GOAL.encode().ljust(MAX_BYTES + 1, b"\n"))
    assert "larger than 1 MB" in load_refusal(path)


def test_not_utf8(tmp_path):
    path = tmp_path / "PROJECT_BRIEF.md"
    path.write_bytes(b"# Goal\ncaf\xe9 accuracy")
    message = load_refusal(path)
    assert "not UTF-8 at byte 10" in message
    assert "iconv -f LATIN1 -t UTF-8" in message
    path.write_bytes(FULL.encode("utf-16"))
    assert "iconv -f UTF-16" in load_refusal(path)


# --- any text


titles = st.sampled_from(
    [
        "# Goal",
        "## Codebase",
        "# Constraints",
        "# Current Best",
        "# Search Space",
        "# Frozen",
        "# x",
        "```",
        "<!--",
        "-->",
        "===",
        "Training:",
    ]
)
lines = (
    titles
    | st.text(max_size=20)
    | st.sampled_from(["reach 78% accuracy", "- --lr: 0 .. 1", "GPU 0-3", "- a.py", "Training: `x`", "72.3%"])
)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text() | st.lists(lines, max_size=15).map("\n".join))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        brief = parse_brief(text)
    except BriefError as refused:
        assert len(str(refused).splitlines()) == 1
        return
    assert brief.goal
    assert all(len(notice.splitlines()) == 1 for notice in brief.notices)


@pytest.mark.parametrize(
    "title",
    [
        "Goal",
        "Goal\nx\n# Codebase",
        "Goal\nx\n# Constraints",
        "Goal\nx\n# Current Best",
        "Goal\nx\n# Frozen",
        "Goal\nx\n# Search Space",
    ],
)
@pytest.mark.parametrize(
    "unit",
    [" ", "-", "<!--", "```\n", "`", "0.9 ", "accuracy ", "a_", "1,000,", "GPU 0,", "Training: ", " (", "above the "],
)
def test_no_text_takes_long(title, unit):
    """A pattern that backtracks would take minutes here."""
    text = f"# {title}\n" + unit * (200_000 // len(unit)) + "x"
    started = time.process_time()
    try:
        parse_brief(text)
    except BriefError:
        pass
    assert time.process_time() - started < 5
