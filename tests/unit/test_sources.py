"""The readers of metric files, against files that the libraries themselves have written, whole, cut and damaged.

``tests/data/sources/NAME/expected.json`` holds what the script reported to the library (``make/`` has the scripts).
"""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import struct
import time
import tracemalloc
from pathlib import Path

import pytest

from auto_experiment.watch.sources import delimited, find, json_document, opening, rows, tensorboard
from auto_experiment.watch.sources import read as reading
from auto_experiment.watch.sources.record import Kind

DATA = Path(__file__).parent.parent / "data" / "sources"
SAMPLES = sorted(path.parent.name for path in DATA.glob("*/expected.json"))
ONE_VALUE = {"all_results.json", "eval_results.json"}  # hold the last value only


def expected(sample):
    return json.loads((DATA / sample / "expected.json").read_text())


def source_files():
    """(sample, kind, path) of every single file that is read as a source."""
    return [
        (sample, file.kind, part)
        for sample in SAMPLES
        for file in find.find(str(DATA / sample))
        for part in file.parts
        if Path(part).name != "time_left.tsv"  # a table of times: no metric in it
    ]


FILES = source_files()


def read_bytes(kind, data, tmp_path):
    """The points of a file with this content, and the notes."""
    (tmp_path / "file").write_bytes(data)
    notes = []
    with opening.opened(str(tmp_path), "file") as stream:
        return [(p.name, p.value, p.step) for p in reading.points(kind, stream, notes)], notes


def same(a, b):
    return a == b or (a != a and b != b)


def float32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def is_written(noted, value, kind):
    """Is it the value that was noted, as this kind of file keeps it? CatBoost's tables have ten digits, NumPy's 32-bit
    floats print as many as they need, Ultralytics prints six."""
    if kind is Kind.TENSORBOARD:
        return same(float32(noted), value)
    return same(noted, value) or float32(noted) == float32(value) or f"{noted:.6g}" == f"{value:.6g}"


# --- what the libraries write


def test_there_is_a_sample_of_every_kind():
    assert {kind for _, kind, _ in FILES} == set(Kind)
    assert len(SAMPLES) >= 10


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_series_is_what_the_script_reported(sample):
    noted = expected(sample)["series"]
    sources = reading.read(str(DATA / sample))
    assert sources.notes == ()
    assert sources.found
    told = set()
    for source in sources.found:
        assert (source.note, source.whole) == ("", True)
        for name, series in source.series.items():
            if name not in noted:
                continue
            told.add(name)
            points = [(step, float(value)) for step, value in noted[name]]
            if Path(source.path).name in ONE_VALUE:
                points = points[-1:]
                assert (series.count, series.final) == (1, points[0][1])
                continue
            values = [value for _, value in points if math.isfinite(value)]
            assert series.count == len(points), (source.path, name)
            assert series.bad == len(points) - len(values)
            assert is_written(points[-1][1], series.final, source.file.kind), (source.path, name)
            assert series.final_step == points[-1][0], (source.path, name)
            assert is_written(max(values), series.highest, source.file.kind)
            assert is_written(min(values), series.lowest, source.file.kind)
    missed = {name for name in noted if rows.is_metric(name)} - told
    assert not missed


@pytest.mark.parametrize("sample", SAMPLES)
def test_counters_and_times_are_no_metrics(sample):
    names = {name for source in reading.read(str(DATA / sample)).found for name in source.series}
    none = {
        "epoch",
        "step",
        "iter",
        "total_timesteps",
        "time",
        "time_elapsed",
        "t",
        "eval_runtime",
        "total_flos",
        "Passed",
    }
    assert not {name for name in names if name.rpartition("/")[2] in none}


def test_the_monitor_of_stable_baselines_counts_episodes():
    source = next(s for s in reading.read(str(DATA / "sb3")).found if s.path == "monitor.csv")
    rewards = [value for _, value in expected("sb3")["monitor"]]
    assert set(source.series) == {"r", "l"}
    assert (source.series["r"].count, source.series["r"].final, source.series["r"].highest) == (
        len(rewards),
        rewards[-1],
        max(rewards),
    )


def test_the_newest_trainer_state_wins(tmp_path):
    paths = [file.path for file in find.find(str(DATA / "hf_trainer")) if file.kind is Kind.TRAINER_STATE]
    assert paths == ["trainer_state.json"]
    for step in (9, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        text = json.dumps({"global_step": step, "log_history": [{"step": step, "loss": 1.0}]})
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(text)
    (source,) = reading.read(str(tmp_path)).found
    assert source.path == "checkpoint-100/trainer_state.json"


def test_event_files_of_a_folder_are_one_run(tmp_path):
    (event,) = (DATA / "tensorboardx").glob("events*")
    for n in (2, 1):
        (tmp_path / f"events.out.tfevents.{n}.host").write_bytes(event.read_bytes())
    (source,) = reading.read(str(tmp_path)).found
    assert source.path == "."
    assert source.file.parts == ("events.out.tfevents.1.host", "events.out.tfevents.2.host")
    assert source.series["loss"].count == 2 * len(expected("tensorboardx")["series"]["loss"])


# --- cut and damaged


def cuts(size, count=150):
    """Every cut of a small file, many of a large one; the same ones each time."""
    if size <= count:
        return range(size)
    return sorted({*random.Random(size).sample(range(size), count), 0, 1, size - 1, size - 2})


@pytest.mark.parametrize(("sample", "kind", "path"), FILES, ids=[f"{s}-{Path(p).name[:30]}" for s, _, p in FILES])
def test_a_file_that_is_cut_gives_a_prefix_of_its_points(sample, kind, path, tmp_path):
    data = (DATA / sample / path).read_bytes()
    whole, _ = read_bytes(kind, data, tmp_path)
    assert whole
    longest = 0
    for cut in cuts(len(data)):
        points, _ = read_bytes(kind, data[:cut], tmp_path)
        assert len(points) <= len(whole)
        assert all(a[0] == b[0] and same(a[1], b[1]) and a[2] == b[2] for a, b in zip(points, whole, strict=False)), cut
        longest = max(longest, len(points))
    if kind is not Kind.JSON:
        assert longest > len(whole) // 2


@pytest.mark.parametrize(("sample", "kind", "path"), FILES, ids=[f"{s}-{Path(p).name[:30]}" for s, _, p in FILES])
def test_damage_is_never_an_error(sample, kind, path, tmp_path):
    data = (DATA / sample / path).read_bytes()
    rng = random.Random(len(data))
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 1, 5, 50))):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        read_bytes(kind, bytes(broken), tmp_path)


@pytest.mark.parametrize("kind", [Kind.TENSORBOARD, Kind.WANDB])
def test_a_damaged_value_is_never_told(kind, tmp_path):
    """Both formats have checksums: whatever byte is wrong, no value is."""
    sample, _, path = next(f for f in FILES if f[1] is kind and f[0] in ("tensorboardx", "wandb_offline"))
    data = (DATA / sample / path).read_bytes()
    whole, _ = read_bytes(kind, data, tmp_path)
    known = {(name, repr(value), step) for name, value, step in whole}
    noticed = 0
    for at in cuts(len(data), 200):
        broken = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        points, notes = read_bytes(kind, broken, tmp_path)
        assert {(n, repr(v), s) for n, v, s in points} <= known, at
        noticed += bool(notes)
    assert noticed > 100


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("seed", range(6))
def test_garbage_is_never_an_error(kind, seed, tmp_path):
    rng = random.Random(seed)
    heads = [b"", b"{", b'{"log_history": [', b":W&B\xe1\xbe\x00", b"a,b\n", b"[[[[" * 5000, b'{"a":' * 3000]
    for head in heads:
        tail = bytes(rng.randrange(256) for _ in range(2000))
        points, _ = read_bytes(kind, head + tail, tmp_path)
        assert len(points) < 50


# --- tables


def table(text, tmp_path):
    return read_bytes(Kind.TABLE, text.encode(), tmp_path)


def test_padded_names_and_empty_cells(tmp_path):
    text = "       epoch,   train/loss,  val/acc\n   1,   0.5,\n   2,,  0.75\n"
    assert table(text, tmp_path) == ([("train/loss", 0.5, 1), ("val/acc", 0.75, 2)], [])


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_delimiters(mark, tmp_path):
    text = mark.join(["step", "val_acc"]) + "\n" + mark.join(["3", "0.5"]) + "\n"
    assert table(text, tmp_path)[0] == [("val_acc", 0.5, 3)]


def test_an_unfinished_last_line_is_not_read_and_told(tmp_path):
    points, notes = table("step,loss\n1,0.8741\n2,0.87", tmp_path)
    assert points == [("loss", 0.8741, 1)]
    assert notes == [delimited.UNFINISHED]


def test_decimal_commas_between_semicolons(tmp_path):
    assert table("epoch;acc\n1;0,5\n", tmp_path)[0] == [("acc", 0.5, 1)]


def test_rows_with_more_cells_than_names_are_left_out_and_told(tmp_path):
    points, notes = table("step,loss\n1,0.5,0.6\n2,0.4\n", tmp_path)
    assert points == [("loss", 0.4, 2)]
    assert notes == ["1 of its rows have more cells than names and were left out"]


def test_a_header_that_comes_again_or_grows(tmp_path):
    text = "step,loss\n1,0.5\nstep,loss\n2,0.4\nstep,val_acc,loss\n3,0.9,0.3\n"
    assert table(text, tmp_path)[0] == [("loss", 0.5, 1), ("loss", 0.4, 2), ("val_acc", 0.9, 3), ("loss", 0.3, 3)]


def test_rows_of_splits_do_not_mix(tmp_path):
    text = "epoch,phase,loss\n1,train,0.5\n1,val,0.7\n"
    assert table(text, tmp_path)[0] == [("train/loss", 0.5, 1), ("val/loss", 0.7, 1)]


def test_nan_and_infinity(tmp_path):
    points, _ = table("step,loss\n1,nan\n2,-inf\n3,Infinity\n4,1e400\n", tmp_path)
    assert [str(value) for _, value, _ in points] == ["nan", "-inf", "inf", "inf"]


@pytest.mark.parametrize("text", ["1,2\n3,4\n", "\n\n", "\x00\x01\x02\n", "just words\nmore words\n"])
def test_what_is_no_table(text, tmp_path):
    assert table(text, tmp_path)[0] == []


# --- JSON


def test_json_lines(tmp_path):
    text = '{"step": 1, "val": {"acc": 0.5}, "ok": true, "note": "x", "list": [1]}\nnoise\n\n{"step": 2, "loss": NaN, "eta": 5}\n{"step": 3, "lo'
    points, notes = read_bytes(Kind.JSON_LINES, text.encode(), tmp_path)
    assert [(n, str(v), s) for n, v, s in points] == [("val/acc", "0.5", 1), ("loss", "nan", 2)]
    assert notes == ["1 of its lines are no JSON objects and were left out"]


def test_a_whole_last_line_counts_without_its_end(tmp_path):
    assert read_bytes(Kind.JSON_LINES, b'{"epoch": 1, "acc": 0.5}', tmp_path)[0] == [("acc", 0.5, 1)]


def test_a_metric_whose_name_is_a_value(tmp_path):
    text = b'{"metric": "loss", "value": 0.5, "step": 7}\n{"name": "step", "value": 3}\n'
    assert read_bytes(Kind.JSON_LINES, text, tmp_path)[0][0] == ("loss", 0.5, 7)


def test_a_history_of_lists(tmp_path):
    text = json.dumps({"loss": [0.5, 0.4], "val_acc": [0.6, 0.7], "epoch": [1, 2]}).encode()
    points, _ = read_bytes(Kind.JSON, text, tmp_path)
    assert points == [("loss", 0.5, 1), ("val_acc", 0.6, 1), ("loss", 0.4, 2), ("val_acc", 0.7, 2)]


def test_columns_as_pandas_writes_them(tmp_path):
    text = json.dumps({"epoch": {"0": 1, "1": 2}, "acc": {"0": 0.5, "1": 0.6}}).encode()
    assert read_bytes(Kind.JSON, text, tmp_path)[0] == [("acc", 0.5, 1), ("acc", 0.6, 2)]


def test_a_list_of_objects(tmp_path):
    text = json.dumps([{"epoch": 1, "acc": 0.5}, 7, {"epoch": 2, "acc": 0.6}]).encode()
    assert read_bytes(Kind.JSON, text, tmp_path)[0] == [("acc", 0.5, 1), ("acc", 0.6, 2)]


def test_numbers_beyond_a_float(tmp_path):
    text = b'{"step": 1, "loss": 1' + b"0" * 400 + b"}\n"
    assert read_bytes(Kind.JSON_LINES, text, tmp_path)[0] == [("loss", math.inf, 1)]


# --- event files


def event(step, *values):
    """An event file's record, written by hand: what no library at hand writes."""

    def field(number, kind, body):
        key = bytes([number << 3 | kind])
        return key + (bytes([len(body)]) if kind == 2 else b"") + body

    summary = b"".join(field(1, 2, field(1, 2, tag.encode()) + body(field)) for tag, body in values)
    data = field(2, 0, bytes([step])) + field(5, 2, summary)
    head = struct.pack("<Q", len(data))
    masked = tensorboard._masked
    return head + struct.pack("<I", masked(head)) + data + struct.pack("<I", masked(data))


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        (lambda f: f(1, 0, b"\x01") + f(5, 5, struct.pack("<f", 0.5)), 0.5),  # float_val, not packed
        (lambda f: f(1, 0, b"\x01") + f(5, 2, struct.pack("<f", 0.5)), 0.5),  # packed
        (lambda f: f(1, 0, b"\x02") + f(6, 2, struct.pack("<d", 0.1)), 0.1),
        (lambda f: f(1, 0, b"\x02") + f(4, 2, struct.pack("<d", 0.1)), 0.1),  # tensor_content
        (lambda f: f(1, 0, b"\x01") + f(4, 2, struct.pack("<f", 0.5)), 0.5),
        (lambda f: f(1, 0, b"\x13") + f(13, 2, b"\x80\x70"), 0.5),  # half_val: the bits 0x3800
        (lambda f: f(1, 0, b"\x09") + f(10, 2, b"\xff" * 9 + b"\x01"), -1.0),
        (lambda f: f(1, 0, b"\x01") + f(5, 2, struct.pack("<ff", 0.5, 0.6)), None),  # two values: no scalar
        (lambda f: f(1, 0, b"\x01") + f(4, 2, struct.pack("<ff", 0.5, 0.6)), None),
        (lambda f: f(1, 0, b"\x07") + f(8, 2, b"words"), None),
    ],
)
def test_tensors_of_one_value(tensor, value, tmp_path):
    data = event(5, ("acc", lambda field: field(8, 2, tensor(field))))
    points, notes = read_bytes(Kind.TENSORBOARD, data, tmp_path)
    assert points == ([] if value is None else [("acc", value, 5)])
    assert notes == []


def test_large_records_are_jumped_over(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "LARGEST", 40)
    large = event(1, ("a" * 50, lambda f: f(2, 5, struct.pack("<f", 1.0))))
    small = event(2, ("b", lambda f: f(2, 5, struct.pack("<f", 0.5))))
    assert read_bytes(Kind.TENSORBOARD, large + small, tmp_path) == ([("b", 0.5, 2)], [])


def test_a_damaged_length_ends_the_reading_and_is_told(tmp_path):
    one, two = (event(n, ("a", lambda f: f(2, 5, struct.pack("<f", 1.0)))) for n in (1, 2))
    points, notes = read_bytes(Kind.TENSORBOARD, one + two[:6] + b"\x01" + two[7:], tmp_path)
    assert points == [("a", 1.0, 1)]
    assert notes == [f"damaged at byte {len(one)}: what follows was not read"]
    (tmp_path / "file").rename(tmp_path / "events.out.tfevents.1")
    (source,) = reading.read(str(tmp_path)).found
    assert source.whole is False  # what its final value was is not known


def test_the_checksum_is_the_castagnoli_one():
    crc = 0xE3069283  # of "123456789", the check value of CRC-32C in every catalogue
    assert tensorboard._masked(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# --- finding


def found(folder):
    return [(file.kind, file.path) for file in find.find(str(folder))]


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("metrics.csv", "loss\n1\n", Kind.TABLE),
        ("whatever.csv", "epoch,loss\n1,2\n", Kind.TABLE),
        ("predictions.csv", "id,loss\n1,2\n", None),
        ("data.csv", "x,y\n1,2\n", None),
        ("log.txt", '{"epoch": 1, "loss": 2}\n', Kind.JSON_LINES),
        ("log.txt", "epoch 1 loss 2\n", None),
        ("metrics.jsonl", 'begins with noise\n{"epoch": 1, "loss": 2}\n', Kind.JSON_LINES),
        ("log.json", '[{"epoch": 1, "loss": 2}]', Kind.JSON),
        ("samples.jsonl", '{"id": 1, "loss": 2}\n', None),
        ("metrics.json", '{"iteration": 1, "loss": 2}\n{"iteration": 2, "loss": 3}\n', Kind.JSON_LINES),
        ("all_results.json", '{\n "acc": 0.5\n}', Kind.JSON),
        ("config.json", '{"lr": 0.5}', None),
        ("model.safetensors", "x", None),
        ("events.out.tfevents.1.host", "", Kind.TENSORBOARD),
        ("metrics.csv.gz", "loss\n1\n", Kind.TABLE),
        ("predictions.csv.gz", "id,loss\n1,2\n", None),
        ("train.JSONL.gz", '{"epoch": 1, "loss": 2}\n', Kind.JSON_LINES),
        ("all_results.json.gz", '{\n "acc": 0.5\n}', Kind.JSON),
        ("trainer_state.json.gz", "{}", None),
        ("run-1.wandb.gz", "x", None),
        ("model.tar.gz", "x", None),
    ],
)
def test_what_counts_as_a_source(name, text, kind, tmp_path):
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert found(tmp_path) == ([] if kind is None else [(kind, name)])


def test_links_pipes_and_folders_are_no_sources(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "metrics.csv").write_text("epoch,loss\n1,2\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    os.symlink(outside / "metrics.csv", inside / "metrics.csv")
    os.symlink(outside, inside / "folder")
    os.symlink(inside, inside / "loop")
    os.mkfifo(inside / "scores.csv")
    os.mkfifo(inside / "log.jsonl")
    (inside / "results.csv").mkdir()
    began = time.monotonic()
    assert reading.read(str(inside)) == reading.Sources()
    assert time.monotonic() - began < 5
    with pytest.raises(OSError), opening.opened(str(inside), "folder/metrics.csv"):
        pass


def test_the_search_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(find, "MOST_IN_A_FOLDER", 20)
    for n in range(30):
        (tmp_path / f"{n}.bin").touch()
    deep = tmp_path.joinpath(*["d"] * (find.DEEPEST + 1))
    deep.mkdir(parents=True)
    (deep / "metrics.csv").write_text("epoch,loss\n1,2\n")
    sources = reading.read(str(tmp_path))
    assert sources.found == ()
    assert any("too many files" in note for note in sources.notes)


def test_a_name_that_cannot_be_shown_is_left_out(tmp_path):
    for name in (b"a\x1b[2Jmetrics.csv", b"\xff.csv", "metrics\u202e.csv".encode()):
        (tmp_path / os.fsdecode(name)).write_text("epoch,loss\n1,2\n")
    sources = reading.read(str(tmp_path))
    assert sources.found == ()
    assert sources.notes == ("files with names that cannot be shown were left out",)


def test_a_file_that_is_older_than_the_run_is_left_out(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss\n1,2\n")
    os.utime(path, (1000, 1000))
    assert len(reading.read(str(tmp_path)).found) == 1
    assert len(reading.read(str(tmp_path), since=1001.0).found) == 1  # file systems keep times coarsely
    sources = reading.read(str(tmp_path), since=2000.0)
    assert sources.found == ()
    assert sources.notes == ("metrics.csv is older than the run and was left out",)


def test_a_file_that_is_too_large_is_not_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    (tmp_path / "metrics.csv").write_text("epoch,loss\n" + "1,2\n" * 1000)
    (source,) = reading.read(str(tmp_path)).found
    assert source.whole is False
    assert "too large" in source.note


def test_an_endless_line_takes_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "LONGEST_LINE", 1000)
    monkeypatch.setattr(opening, "_CHUNK", 512)
    text = '{"step": 1, "a": 1}\n{"x": "' + "y" * 5000 + '"}\n{"step": 2, "a": 2}\n'
    assert read_bytes(Kind.JSON_LINES, text.encode(), tmp_path)[0] == [("a", 1.0, 1), ("a", 2.0, 2)]


def test_the_split_that_only_the_place_says(tmp_path):
    (tmp_path / "val_metrics.csv").write_text("epoch,acc\n1,0.5\n")
    (tmp_path / "train_metrics.csv").write_text("epoch,acc\n1,0.9\n")
    (tmp_path / "test.csv").write_text("epoch,acc,val_acc\n1,0.9,0.8\n")
    names = {source.path: list(source.series) for source in reading.read(str(tmp_path)).found}
    assert names == {
        "test.csv": ["acc", "val_acc"],
        "train_metrics.csv": ["train/acc"],
        "val_metrics.csv": ["val/acc"],
    }


def test_the_summary_of_a_wandb_run_without_its_log(tmp_path):
    files = tmp_path / "wandb" / "run-1" / "files"
    files.mkdir(parents=True)
    (files / "wandb-summary.json").write_text('{"acc": 0.5, "_step": 9, "_runtime": 3, "_wandb": {"runtime": 3}}')
    (source,) = reading.read(str(tmp_path)).found
    assert {name: s.final for name, s in source.series.items()} == {"acc": 0.5}
    (files.parent / "run-1.wandb").write_bytes(b"")
    assert reading.read(str(tmp_path)).found == ()


def test_a_document_that_is_too_large_is_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(json_document, "MOST_BYTES", 10)
    (tmp_path / "all_results.json").write_text(json.dumps({"acc": 0.5, "loss": 0.25}))
    sources = reading.read(str(tmp_path))
    assert sources.found == ()
    assert sources.notes == ("all_results.json: too large: not read to its end",)


# --- packed files

ROWS = "epoch,val_acc\n" + "".join(f"{n},{n / 997}\n" for n in range(5000))


def the_only(folder):
    (source,) = reading.read(str(folder)).found
    return source


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(ROWS.encode()),
        b"".join(gzip.compress(line.encode()) for line in ROWS.splitlines(keepends=True)),  # opened anew for each line
        gzip.compress(ROWS.encode()) + b"\0" * 512,
    ],
)
def test_a_packed_table_is_read_like_the_table(data, tmp_path):
    (tmp_path / "metrics.csv.gz").write_bytes(data)
    source = the_only(tmp_path)
    assert (source.path, source.note, source.whole) == ("metrics.csv.gz", "", True)
    assert (source.series["val_acc"].count, source.series["val_acc"].final) == (5000, 4999 / 997)


def test_a_packed_file_says_the_split_that_its_name_says(tmp_path):
    (tmp_path / "test.csv.gz").write_bytes(gzip.compress(b"epoch,loss\n1,2\n"))
    assert set(the_only(tmp_path).series) == {"test/loss"}


def test_a_packed_document(tmp_path):
    (tmp_path / "results.json.gz").write_bytes(gzip.compress(b'{"accuracy": 0.5}'))
    assert the_only(tmp_path).series["accuracy"].final == 0.5


def test_a_packed_file_that_is_cut_gives_what_was_whole(tmp_path):
    data, path = gzip.compress(ROWS.encode()), tmp_path / "metrics.csv.gz"
    counts = []
    for cut in (len(data) // 4, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        counts.append(the_only(tmp_path).series["val_acc"].count)
    assert 0 < counts[0] < counts[1] < counts[2] == 5000


def test_damage_in_a_packed_file_ends_the_reading_and_is_told(tmp_path):
    data = bytearray(gzip.compress(ROWS.encode()))
    data[len(data) // 2 : len(data) // 2 + 64] = b"\xff" * 64
    (tmp_path / "metrics.csv.gz").write_bytes(data)
    source = the_only(tmp_path)
    assert source.whole is False
    assert "damaged" in source.note
    for seed in range(60):
        rng, broken = random.Random(seed), bytearray(gzip.compress(ROWS.encode()))
        for _ in range(rng.choice((1, 5))):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        (tmp_path / "metrics.csv.gz").write_bytes(broken)
        reading.read(str(tmp_path))


def test_a_bomb_is_unpacked_no_further_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 1 << 20)
    with gzip.open(tmp_path / "metrics.csv.gz", "wb", compresslevel=9) as file:
        file.write(b"epoch,loss\n1,2\n")
        for _ in range(64):
            file.write(b"0" * (1 << 20))
    with gzip.open(tmp_path / "results.json.gz", "wb") as file:
        file.write(b'{"acc": 0.5' + b" " * (32 << 20) + b"}")
    assert (tmp_path / "metrics.csv.gz").stat().st_size < 1 << 18
    tracemalloc.start()
    sources = reading.read(str(tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
    (table,) = sources.found
    assert table.whole is False
    assert "too large" in table.note
    assert any("results.json.gz: too large" in note for note in sources.notes)


def test_countless_pieces_end_the_reading(tmp_path):
    piece = gzip.compress(b"")
    (tmp_path / "metrics.csv.gz").write_bytes(gzip.compress(b"epoch,loss\n1,2\n") + piece * 20_000)
    source = the_only(tmp_path)
    assert source.whole is False
    assert "too many pieces" in source.note


# --- MLflow's file store


def store(folder, **metrics):
    """A run of a store, with a file for each of the metrics."""
    (folder / "metrics").mkdir(parents=True)
    (folder / "meta.yaml").write_text("run_id: x\n")
    for name, text in metrics.items():
        (folder / "metrics" / name).write_text(text)


def test_each_run_of_a_store_is_a_source(tmp_path):
    for run in ("b", "a"):
        store(tmp_path / "mlruns" / "1" / run, loss="1 0.5 0\n2 0.25 1\n")
    assert found(tmp_path) == [(Kind.MLFLOW, "mlruns/1/a"), (Kind.MLFLOW, "mlruns/1/b")]
    series = reading.read(str(tmp_path)).found[0].series["loss"]
    assert (series.count, series.final, series.final_step) == (2, 0.25, 1)


def test_a_run_of_a_store_by_itself(tmp_path):
    store(tmp_path, loss="1 0.5 0 data 2f1e\n", acc="1 0.5\n")
    (source,) = reading.read(str(tmp_path)).found
    assert (source.path, set(source.series)) == (".", {"acc", "loss"})


def test_what_is_no_value_in_a_store_is_left_out_and_told(tmp_path):
    store(tmp_path / "r", loss="1 0.5 0\nnonsense\n2 nan 1\n3 0.12", time="1 7 0\n", epoch="1 7 0\n")
    (source,) = reading.read(str(tmp_path)).found
    assert set(source.series) == {"loss"}
    assert (source.series["loss"].count, source.series["loss"].bad) == (2, 1)
    assert "1 lines hold no time, value and step" in source.note
    assert "has no end" in source.note


def test_what_is_no_run_of_a_store(tmp_path):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "loss").write_text("1 0.5 0\n")  # no meta.yaml beside it
    store(tmp_path / "mlruns" / "1" / "models" / "m-1", loss="1 0.5 0 run\n")  # what a run has, once more
    assert found(tmp_path) == []


def test_links_out_of_a_store_are_not_followed(tmp_path):
    (tmp_path / "secret").write_text("1 0.5 0\n")
    store(tmp_path / "out" / "r", acc="1 0.5 0\n")
    os.symlink(tmp_path / "secret", tmp_path / "out" / "r" / "metrics" / "loss")
    os.mkfifo(tmp_path / "out" / "r" / "metrics" / "pipe")
    (source,) = reading.read(str(tmp_path / "out")).found
    assert set(source.series) == {"acc"}


def test_the_metrics_of_a_store_are_bounded_and_older_ones_left_out(tmp_path):
    store(tmp_path / "r", **{f"m{n:03d}": "1 0.5 0\n" for n in range(600)})
    sources = reading.read(str(tmp_path))
    assert len(sources.found[0].series) == 500
    assert any("too many metrics" in note for note in sources.notes)
    assert reading.read(str(tmp_path), since=time.time() + 100).found == ()
