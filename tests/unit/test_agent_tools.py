"""The code agent's five tools: what a call may be, and what comes of it. Files and shell are stand-ins here; real ones
are in tests/integration/test_agent_on_files.py."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.agent.base import Act, Entry, Launch, ShellResult, ToolRefused
from auto_experiment.agent.edits import Edit, edited
from auto_experiment.agent.showing import framed, lines_of, within
from auto_experiment.agent.tools import NOTE_MAX, TOOLS, Caps, Toolbox
from auto_experiment.agent.waiting import waits
from auto_experiment.models.base import ToolCall, ToolResult


class Memory:
    """Files in memory, and a shell that says what it is told."""

    def __init__(self, result: ShellResult | None = None, **files: bytes) -> None:
        self.files = {name.replace("__", "."): data for name, data in files.items()}
        self.result = result or ShellResult(0, None, False, b"")
        self.ran: list[tuple[str, float]] = []
        self.aborted = 0

    def read(self, path, offset, limit):
        if path not in self.files:
            raise ToolRefused(f"{path} does not exist")
        return self.files[path][offset : offset + limit], len(self.files[path])

    def write(self, path, data):
        if path == "PROJECT_BRIEF.md":
            raise ToolRefused("PROJECT_BRIEF.md is protected; leave it as it is")
        self.files[path] = data

    def list(self, path):
        return [Entry(name, "file", len(data)) for name, data in self.files.items()]

    def run(self, command, timeout):
        self.ran.append((command, timeout))
        return self.result

    def abort(self):
        self.aborted += 1


def prepared(memory: Memory, name: str, /, **arguments) -> Act | Launch | ToolResult:
    return Toolbox(memory, memory).prepare(ToolCall("c1", name, arguments))


def done(memory: Memory, name: str, /, **arguments) -> ToolResult:
    act = prepared(memory, name, **arguments)
    if isinstance(act, ToolResult):
        return act
    assert isinstance(act, Act), act
    return act.perform()


def refused(memory: Memory, name: str, /, **arguments) -> str:
    """The error of a call that is not even begun."""
    result = prepared(memory, name, **arguments)
    assert isinstance(result, ToolResult), result
    assert result.is_error
    assert result.id == "c1"
    return result.text


# -- files that somebody else changes --------------------------------------------------------------------------------


class Desk:
    """One dispatch's tools, and a human at the same files."""

    def __init__(self, shell=lambda files: None) -> None:
        self.memory = Memory(t__py=b"one")
        self.tools = Toolbox(self.memory, self.memory)
        self.memory.run = lambda command, timeout: shell(self.memory.files) or ShellResult(0, None, False, b"")

    def call(self, name, **arguments):
        return self.tools.prepare(ToolCall("c1", name, arguments)).perform()


@pytest.mark.parametrize("path", ["t.py", "./t.py"])
def test_a_file_that_a_human_has_changed_is_not_written_over(path):
    desk = Desk()
    desk.call("read_file", path="t.py")
    desk.memory.files[path] = desk.memory.files["t.py"] = b"the human's"
    refusal = desk.call("write_file", path=path, content="mine")
    assert refusal.is_error
    assert "was changed since you last saw it" in refusal.text
    assert desk.memory.files[path] == b"the human's"
    desk.call("run_shell", command="ls")  # which does not make it known
    assert desk.call("write_file", path=path, content="mine").is_error
    desk.call("read_file", path=path)
    assert not desk.call("write_file", path=path, content="mine").is_error


def test_what_the_agent_has_changed_itself_is_its_own():
    desk = Desk(shell=lambda files: files.update({"t.py": b"by sed"}))
    desk.call("read_file", path="t.py")
    desk.call("run_shell", command="sed -i s/one/by sed/ t.py")
    assert not desk.call("write_file", path="t.py", content="two").is_error
    assert not desk.call("write_file", path="t.py", edits=[{"old": "two", "new": "three"}]).is_error
    assert not desk.call("write_file", path="t.py", content="four").is_error
    del desk.memory.files["t.py"]
    assert not desk.call("write_file", path="t.py", content="five").is_error
    assert not desk.call("write_file", path="new.py", content="never seen").is_error


def test_an_edit_is_made_in_what_a_human_has_written_meanwhile():
    desk = Desk()
    desk.call("read_file", path="t.py")
    desk.memory.files["t.py"] = b"one, and the human's"
    assert not desk.call("write_file", path="t.py", edits=[{"old": "one", "new": "two"}]).is_error
    assert desk.memory.files["t.py"] == b"two, and the human's"


# -- what a model is told ---------------------------------------------------------------------------------------------


def test_there_are_five_tools_with_these_arguments():
    assert {tool.name: list(tool.parameters["properties"]) for tool in TOOLS} == {
        "run_shell": ["command", "timeout"],
        "launch_experiment": ["command", "dry_run_command", "name", "note"],
        "write_file": ["path", "content", "edits"],
        "read_file": ["path", "offset", "limit"],
        "list_files": ["path"],
    }


def test_the_tools_are_cheap():
    assert len(json.dumps([[t.name, t.description, t.parameters] for t in TOOLS])) <= 2000


# -- what a call may be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("bash", {"command": "ls"}, "there is no tool 'bash'; there are run_shell,"),
        ("run_shell", {}, "run_shell needs command"),
        ("run_shell", {"command": None}, "run_shell needs command"),
        ("run_shell", {"command": "  "}, "command is empty"),
        ("run_shell", {"command": ["ls"]}, "command is a list; expected text"),
        ("run_shell", {"cmd": "ls"}, "run_shell has no argument 'cmd'; it takes command, timeout"),
        ("run_shell", {"command": "ls", "timeout": "60"}, "timeout is text; expected a whole number"),
        ("run_shell", {"command": "ls", "timeout": True}, "timeout is true; expected a whole number"),
        ("run_shell", {"command": "ls", "timeout": 1.5}, "timeout is a number; expected a whole number"),
        ("run_shell", {"command": "ls", "timeout": 0}, "timeout is 0; expected 1 to 600"),
        ("run_shell", {"command": "ls", "timeout": 10**5000}, "timeout is out of all bounds; expected 1 to 600"),
        ("run_shell", {"command": "ls", "timeout": float("nan")}, "timeout is a number; expected a whole number"),
        ("run_shell", {"command": "l\0s"}, "command has a NUL"),
        ("run_shell", {"command": "l\ud800s"}, "command has a NUL or half a character"),
        ("run_shell", {"command": "x" * 10_000_000}, "command has 10,000,000 characters; at most 20,000"),
        ("write_file", {"path": "a"}, "either content (the whole file) or edits"),
        ("write_file", {"path": "a", "content": "", "edits": [{"old": "a", "new": "b"}]}, "either content"),
        ("write_file", {"path": "", "content": "x"}, "path is empty"),
        ("write_file", {"path": "a", "content": "\udfff"}, "content has a NUL or half a character"),
        ("write_file", {"path": "a", "edits": []}, "edits is an empty list"),
        ("write_file", {"path": "a", "edits": '[{"old": "a"}]'}, "edits is text; expected a list"),
        ("write_file", {"path": "a", "edits": [{"old": "a"}]}, "edit 1 is not an object with old and new alone"),
        ("write_file", {"path": "a", "edits": [{"old": "a", "new": 1}]}, "new of edit 1 is a number"),
        ("write_file", {"path": "a", "edits": [{"old": "a", "new": "a"}]}, "edit 1 changes nothing"),
        ("write_file", {"path": "a", "edits": [{"old": "a", "new": "b"}] * 101}, "101 edits; at most 100"),
        ("read_file", {"path": "a", "offset": 0}, "offset is 0; expected 1 to"),
        ("list_files", {"path": 3}, "path is a number; expected text"),
    ],
)  # fmt: skip
def test_a_call_that_does_not_fit_is_told_so(name, arguments, words):
    memory = Memory()
    text = refused(memory, name, **arguments)
    assert words in text
    assert len(text) <= 500
    assert len(text.splitlines()) == 1
    assert not memory.ran
    assert not memory.files


def test_arguments_that_could_not_be_read_are_told():
    result = Toolbox(Memory(), Memory()).prepare(ToolCall("c1", "run_shell", {"command": "ls"}, "no JSON at column 9"))
    assert isinstance(result, ToolResult)
    assert "not carried out: no JSON at column 9" in result.text


def test_null_and_a_whole_number_in_disguise_are_taken():
    memory = Memory()
    done(memory, "run_shell", command="ls", timeout=30.0)
    done(memory, "run_shell", command="ls", timeout=None)
    assert memory.ran == [("ls", 30), ("ls", 120)]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([tool.name for tool in TOOLS]) | st.text(max_size=20)
KEYS = st.sampled_from(sorted({key for tool in TOOLS for key in tool.parameters["properties"]})) | st.text(max_size=5)


@settings(max_examples=400)
@given(name=NAMES, arguments=st.dictionaries(KEYS, JSON, max_size=4))
def test_no_call_can_break_the_tools(name, arguments):
    """Whatever comes: an act, a launch, or one sentence; and an act ends in a result that can be sent."""
    memory = Memory(train__py=b"lr = 1\n")
    found = Toolbox(memory, memory).prepare(ToolCall("c1", name, arguments))
    if isinstance(found, Act):
        found = found.perform()
    if isinstance(found, ToolResult):
        found.text.encode("utf-8")
        assert found.text
        assert not found.is_error or len(found.text.splitlines()) == 1
    else:
        assert found.request.command


@settings(max_examples=200)
@given(name=st.sampled_from(TOOLS), data=st.data())
def test_a_call_with_one_wrong_type_is_refused(name, data):
    good = {"path": "a", "command": "python t.py", "content": "x", "timeout": 5, "offset": 1, "limit": 5,
            "edits": [{"old": "a", "new": "b"}], "dry_run_command": "python t.py", "name": "n", "note": "n"}  # fmt: skip
    wrong = data.draw(st.sampled_from(sorted(name.parameters["properties"])))
    needed = {key: good[key] for key in name.parameters["required"]}
    bad = {"number": 1.5, "text": "5", "list": [1], "object": {"a": 1}, "bool": True}
    value = data.draw(
        st.sampled_from([v for k, v in bad.items() if not (k == "text" and isinstance(good[wrong], str))])
    )
    assert wrong in refused(Memory(), name.name, **{**needed, wrong: value}) or wrong == "edits"


# -- write_file -------------------------------------------------------------------------------------------------------


def test_a_file_is_written_whole():
    memory = Memory()
    assert done(memory, "write_file", path="new.py", content="a = 1\nb = ü") == ToolResult(
        "c1", "new.py written: 2 lines, 11 characters"
    )
    assert memory.files == {"new.py": "a = 1\nb = ü".encode()}


def test_edits_are_made_all_at_once_in_any_order():
    memory = Memory(t__py=b"lr = 1\nmomentum = 2\nend")
    result = done(
        memory,
        "write_file",
        path="t.py",
        edits=[{"old": "momentum = 2", "new": "lr = 1"}, {"old": "lr = 1\n", "new": "lr = 3\n"}],
    )
    assert memory.files["t.py"] == b"lr = 3\nlr = 1\nend"
    assert result == ToolResult("c1", "t.py: 2 edits made, line 1, 2")


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([("lr = 1", "lr = 3"), ("nowhere", "x")], "edit 2: the old text is not in the file"),
        ([("  momentum = 2", "x")], "(line 2 is like its first)"),
        ([("x = 0", "x = 1")], "edit 1: the old text is there more than once (lines 3, 4)"),
        ([("aa", "b")], "more than once (lines 5)"),  # in "aaa": twice, overlapping
        ([("lr = 1\nmom", "a"), ("momentum", "b")], "edits 1 and 2 overlap"),
        ([("", "b")], "edit 1: old is empty"),
    ],
)  # fmt: skip
def test_edits_that_are_not_certain_change_nothing(edits, words):
    before = b"lr = 1\nmomentum = 2\nx = 0\nx = 0\naaa\n"
    memory = Memory(t__py=before)
    result = done(memory, "write_file", path="t.py", edits=[{"old": old, "new": new} for old, new in edits])
    assert result.is_error
    assert words in result.text
    assert memory.files["t.py"] == before


def test_line_breaks_stay_what_they_are():
    memory = Memory(t__py=b"a = 1\r\nb = 2\r\nc = 3")
    done(
        memory,
        "write_file",
        path="t.py",
        edits=[{"old": "a = 1\nb = 2", "new": "a = 9\nx\nb = 2"}, {"old": "c", "new": "d\ne"}],
    )
    assert memory.files["t.py"] == b"a = 9\r\nx\r\nb = 2\r\nd\r\ne = 3"


@pytest.mark.parametrize(("data", "words"), [(b"\xff\xfe", "is not UTF-8 text"), (b"a\0b", "is binary")])
def test_what_is_no_text_is_not_edited(data, words):
    memory = Memory(t__py=data)
    result = done(memory, "write_file", path="t.py", edits=[{"old": "a", "new": "b"}])
    assert result.is_error
    assert words in result.text
    assert memory.files["t.py"] == data


def test_what_the_files_refuse_is_handed_on():
    result = done(Memory(), "write_file", path="PROJECT_BRIEF.md", content="x")
    assert result == ToolResult("c1", "PROJECT_BRIEF.md is protected; leave it as it is", is_error=True)


TEXTS = st.lists(st.sampled_from(["a", "b", " ", "\n", "\r\n"]), max_size=25).map("".join)


@settings(max_examples=500)
@given(text=TEXTS, old=TEXTS, new=TEXTS)
def test_an_edit_is_a_replacement_but_for_line_breaks(text, old, new):
    plain, wanted = text.replace("\r\n", "\n"), old.replace("\r\n", "\n")
    places = [i for i in range(len(plain)) if plain.startswith(wanted, i)] if wanted else []
    if len(places) != 1:
        with pytest.raises(ToolRefused):
            edited(text, [Edit(old, new)])
        return
    found = edited(text, [Edit(old, new)]).text
    at = places[0]
    expected = plain[:at] + new.replace("\r\n", "\n") + plain[at + len(wanted) :]
    assert found.replace("\r\n", "\n") == expected
    if "\r" not in text:
        assert found == expected
    elif "\n" not in text.replace("\r\n", ""):
        assert "\n" not in found.replace("\r\n", "")


# -- read_file --------------------------------------------------------------------------------------------------------


def numbered(lines: int) -> bytes:
    return b"".join(b"line %04d of a file\n" % n for n in range(1, lines + 1))


def test_an_ordinary_file_fits_one_read():
    data = numbered(500)
    assert len(data) == 10_000
    text = done(Memory(t__py=data), "read_file", path="t.py").text
    assert text == f"t.py: all 500 lines\n<data>\n{data.decode()[:-1]}\n</data>"


def test_a_long_file_is_read_in_parts_and_says_so():
    memory = Memory(t__py=numbered(1000))
    first = done(memory, "read_file", path="t.py").text
    assert first.startswith("t.py: lines 1-600 of 1,000; go on with offset 601\n")
    assert done(memory, "read_file", path="t.py", offset=601).text.startswith(
        "t.py: lines 601-1000 of 1,000\n<data>\nline 0601"
    )
    part = done(memory, "read_file", path="t.py", offset=10, limit=2).text
    assert part == "t.py: lines 10-11 of 1,000\n<data>\nline 0010 of a file\nline 0011 of a file\n</data>"
    beyond = done(memory, "read_file", path="t.py", offset=2000)
    assert beyond.is_error
    assert "offset is 2000, and t.py has 1,000 lines" in beyond.text


def test_a_long_line_is_cut_and_says_so():
    text = done(Memory(t__json=b"[" + b"1," * 30_000 + b"]\n"), "read_file", path="t.json").text
    assert text.startswith("t.json: its one line; line 1 cut: 12,000 of 60,002 characters; use run_shell")
    assert len(text) < 12_300


def test_a_huge_file_is_not_read_whole():
    memory = Memory(log=numbered(200_000))
    assert done(memory, "read_file", path="log", offset=3, limit=1).text.startswith(
        "log: line 3 of a file of 4,290,002 bytes"
    )
    beyond = done(memory, "read_file", path="log", offset=190_000)
    assert beyond.is_error
    assert "use run_shell (sed -n) for the rest" in beyond.text


def test_a_huge_file_is_not_cut_within_a_character():
    text = done(Memory(log="aüüüüüüüü\n".encode() * 200_000), "read_file", path="log", offset=2, limit=1).text
    assert text == "log: line 2 of a file of 3,600,000 bytes\n<data>\naüüüüüüüü\n</data>"


@given(st.lists(st.text("abc ü\t", max_size=60), min_size=1, max_size=40), st.booleans())
def test_going_on_shows_the_whole_file(lines, ends):
    text = "\n".join([*lines, "end"]) + ("\n" if ends else "")
    memory, seen, offset = Memory(t=text.encode()), [], 1
    while offset:
        act = Toolbox(memory, memory, Caps(read_chars=64)).prepare(
            ToolCall("c", "read_file", {"path": "t", "offset": offset})
        )
        assert isinstance(act, Act)
        head, _, rest = act.perform().text.partition("\n<data>\n")
        seen.append(rest.removesuffix("\n</data>"))
        more = re.search(r"go on with offset (\d+)", head)
        offset = int(more[1]) if more else 0
    assert "\n".join(seen) == text.removesuffix("\n")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "t: empty"),
        (b"\x89PNG\0\0", "t: binary, 6 bytes, not shown"),
        (b"caf\xe9", "t: not UTF-8 text, 4 bytes, not shown"),
        (b"a\x1b[31mb\x07\tc\r\n", "t: its one line; control characters not shown\n<data>\nab\tc\n</data>"),
        (b"a\r\nb \r\n", "t: all 2 lines\n<data>\na\nb \n</data>"),
    ],
)
def test_what_is_shown_of_odd_files(data, text):
    assert done(Memory(t=data), "read_file", path="t") == ToolResult("c1", text)


# -- run_shell, list_files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "text", "is_error"),
    [
        (ShellResult(0, None, False, b""), "exit 0, no output", False),
        (ShellResult(3, None, False, b"no\n"), "exit 3\n<data>\nno\n</data>", True),
        (ShellResult(None, 9, False, b"x", cut=True), "ended by signal 9, output cut\n<data>\nx\n</data>", True),
        (ShellResult(None, None, True, b"\r 1%\r 99%\n"), "time limit of 7 s reached: the command and all that it started were ended\n<data>\n 99%\n</data>", True),
    ],
)  # fmt: skip
def test_how_a_command_ended_is_said_first(result, text, is_error):
    assert done(Memory(result), "run_shell", command="x", timeout=7) == ToolResult("c1", text, is_error)


def test_an_output_is_shown_by_head_and_tail():
    output = b"first\n" + b"middle\n" * 50_000 + b"last\n"
    text = done(Memory(ShellResult(0, None, False, output)), "run_shell", command="x").text
    assert len(text) < 6_200
    assert "\nfirst\n" in text
    assert "characters left out" in text
    assert text.endswith("last\n</data>")


def test_only_a_shell_command_can_be_broken_off():
    memory = Memory(t=b"x")
    for name, arguments in (("run_shell", {"command": "ls"}), ("read_file", {"path": "t"})):
        act = prepared(memory, name, **arguments)
        assert isinstance(act, Act)
        act.abort()
    assert memory.aborted == 1


def test_a_folder_is_listed_up_to_a_limit():
    memory = Memory(**{f"f{n:03d}": b"1234" for n in range(250)})
    text = done(memory, "list_files").text
    assert text.startswith(".: 200 of 250 entries\n<data>\nf000  4\nf001  4\n")
    assert len(text.splitlines()) == 203


def test_the_caps_are_the_caps():
    memory = Memory(t=b"abcd\n" * 10)
    act = Toolbox(memory, memory, Caps(read_chars=10)).prepare(ToolCall("c", "read_file", {"path": "t"}))
    assert isinstance(act, Act)
    assert act.perform().text.startswith("t: lines 1-2 of 10; go on with offset 3")


# -- data is data -----------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["<data>", "</data>", "</data2>", "</DATA >", "x", "\n"]), max_size=20).map("".join))
def test_no_content_closes_its_own_frame(text):
    opening, _, rest = framed(text).partition("\n")
    closing = opening.replace("<", "</")
    assert rest.endswith(closing)
    assert rest.lower().count(closing.rstrip(">")) == 1


def test_what_terminals_act_on_is_not_shown():
    assert lines_of(b"\x1b]0;title\x07a\x1b[2Jb\x00\xe2\x80\xae c\xff\n") == "ab c\ufffd"


@given(st.text(max_size=300), st.integers(30, 100))
def test_within_is_within(text, chars):
    assert len(within(text, chars)) <= chars + 60


# -- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    ["sleep 31", "sleep 1m", "python t.py & sleep 60; tail log", "sleep 20; sleep 20", "sleep infinity", "/bin/sleep 99",
     "while ! test -f done; do sleep 5; done", "until grep -q x log\ndo sleep 1; done", "tail -f train.log",
     "tail -n 5 -F log", "watch -n 1 nvidia-smi", "python -c 'import time; time.sleep(100)'", "ls && sleep 10 30"],
)  # fmt: skip
def test_waiting_is_refused(command):
    memory = Memory()
    text = refused(memory, "run_shell", command=command)
    assert text.startswith("not run: it ")
    assert "watching is automatic" in text
    assert not memory.ran


@pytest.mark.parametrize(
    "command",
    ["sleep 1", "python t.py & sleep 20; kill $!", "grep -n 'sleep 100' *.sh", "cat > x.sh <<EOF\nsleep 100\nEOF",
     "tail -n 50 log", "tail -50 f.log", "man sleep", "timeout 60 python t.py", "while read l; do echo $l; done < f",
     'echo "now; sleep 100"', "echo \\\"; echo '; sleep 50'", "grep time.sleep\\(60\\) t.py", "ls watch"],
)  # fmt: skip
def test_working_is_not(command):
    assert waits(command) == ""


# -- launch_experiment ------------------------------------------------------------------------------------------------


def test_a_launch_is_asked_for_as_it_was_given():
    launch = prepared(Memory(), "launch_experiment", command=" python train.py --lr 1 ", dry_run_command="python train.py --steps 2",
                      name="lr\n1", note="x" * 700)  # fmt: skip
    assert isinstance(launch, Launch)
    assert launch.request.command == "python train.py --lr 1"
    assert launch.request.dry_run_command == "python train.py --steps 2"
    assert launch.request.name == "lr 1"
    assert len(launch.request.note) == NOTE_MAX


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"command": " "}, "command is empty"),
        ({"command": "python t.py && rm x"}, "has shell syntax (&&); give one program"),
        ({"command": "python t.py > log"}, "has shell syntax (>)"),
        ({"command": "python t.py --lr $LR"}, "has shell syntax ($LR)"),
        ({"command": "python 't.py"}, "has open quotes or names no program"),
        ({"command": "A=1"}, "has open quotes or names no program"),
        ({"command": "python t.py", "dry_run_command": "true"}, "dry_run_command runs 'true', command 'python t.py'"),
        ({"command": "python t.py", "dry_run_command": "python u.py"}, "give it the same program and script"),
        ({"command": "python t.py", "dry_run_command": "python -c 0 t.py"}, "give it the same program and script"),
        ({"command": "python t.py", "dry_run_command": "python t.py; true"}, "dry_run_command 'python t.py; true' has"),
    ],
)  # fmt: skip
def test_a_launch_that_cannot_be_tried_is_refused(arguments, words):
    assert words in refused(Memory(), "launch_experiment", **arguments)
