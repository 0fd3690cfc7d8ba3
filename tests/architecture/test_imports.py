"""The house's import rules, read from the import statements (docs/architecture.md)."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import auto_experiment

ROOT = Path(auto_experiment.__file__).parent
PACKAGE = "auto_experiment"

LAYERS = (
    {"records", "errors", "clock", "jsonable", "redact", "texts", "__init__"},
    {"objective", "paths", "files", "command", "goal", "search_space", "script_options", "yaml_file", "environ_block"},
    {"hosts", "models", "ledger", "config", "brief", "demo", "skills"},
    {"launchers", "project"},
    {"watch"},
    {"planners", "agent", "views"},
    {"cycle", "report", "notes"},
    {"wiring", "init"},
    {"cli"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS, start=1) for room in rooms}
HEAVY = {
    "optuna": {"planners/sampler.py", "report/importance.py"},  # the second one in the report's own process
    "matplotlib": {"report/figures.py"},
    "pydantic": {"config.py", "planners/submissions.py"},
    "yaml": {"yaml_file.py"},
    "anthropic": {"models/anthropic.py"},
    "openai": {"models/openai.py"},
    "httpx2": {"models/wire.py"},  # what both SDKs stand on
    "genai_prices": {"models/prices.py"},
    "apprise": {"notes/sender.py"},
    "pynvml": {"watch/nvml.py"},  # a program: in a process of its own
    "rich": {"cli/live.py"},
    "click": None,  # the command line's own
}
ADAPTERS = {
    "hosts/shell.py",
    "hosts/outpost.py",
    "hosts/local.py",
    "launchers/process.py",
    "launchers/simulated.py",
    "models/anthropic.py",
    "models/openai.py",
    "models/scripted.py",
    "planners/leader.py",
    "planners/optuna.py",
    "planners/scripted.py",
}


def files() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.py")):
        if "files" not in path.relative_to(ROOT).parts:  # data of the demo: a user's script, not ours
            yield path


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(name: str) -> str:
    return name.removesuffix(".py").split("/")[0]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path: Path) -> tuple[tuple[str, bool], ...]:
    """(module, whether at the top of the file) of every import."""
    return tuple(found_in(tree_of(path)))


def found_in(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in top
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"relative import of {node.module}"
            for alias in node.names:
                inside = (ROOT.parent / (node.module + "." + alias.name).replace(".", "/")).with_suffix(".py")
                folder = ROOT.parent / (node.module + "." + alias.name).replace(".", "/")
                deeper = inside.exists() or folder.is_dir()
                yield (f"{node.module}.{alias.name}" if deeper else node.module), node in top


def ours(path: Path) -> Iterator[str]:
    """The files of ours that a file imports, as places ("hosts/base.py")."""
    for module, _ in imports(path):
        if module == PACKAGE:
            yield "__init__.py"
        elif module.startswith(PACKAGE + "."):
            inner = module.removeprefix(PACKAGE + ".").replace(".", "/")
            yield f"{inner}/__init__.py" if (ROOT / inner).is_dir() else f"{inner}.py"


def graph() -> dict[str, set[str]]:
    return {place(path): set(ours(path)) for path in files()}


def test_every_file_has_a_layer():
    unknown = {room(place(path)) for path in files()} - LEVEL.keys()
    assert not unknown, f"rooms without a floor: {unknown}; add them to LAYERS and to docs/architecture.md"


def test_imports_point_down():
    wrong = []
    for source, targets in graph().items():
        for target in targets:
            same_room = room(source) == room(target)
            if not same_room and LEVEL[room(target)] >= LEVEL[room(source)] and target != "__init__.py":
                wrong.append(f"{source} (floor {LEVEL[room(source)]}) -> {target} (floor {LEVEL[room(target)]})")
    assert not wrong, "\n".join(wrong)


def test_there_is_no_import_cycle():
    edges, done, path = graph(), set(), []

    def visit(node: str) -> None:
        if node in path:
            raise AssertionError(" -> ".join([*path[path.index(node) :], node]))
        if node in done or node not in edges:
            return
        path.append(node)
        for target in sorted(edges[node]):
            visit(target)
        path.pop()
        done.add(node)

    for node in sorted(edges):
        visit(node)


def test_watching_launching_and_hosts_reach_no_model():
    edges = graph()

    def reach(node: str, seen: set[str]) -> set[str]:
        for target in edges.get(node, ()):
            if target not in seen:
                seen.add(target)
                reach(target, seen)
        return seen

    for source in edges:
        if room(source) in {"watch", "launchers", "hosts"}:
            found = [t for t in reach(source, set()) if room(t) in {"models", "agent", "planners"}]
            assert not found, f"{source} reaches {found}"


def test_only_wiring_names_adapters():
    for source, targets in graph().items():
        named = targets & ADAPTERS
        if named and source not in {"wiring.py", "agent/workshop.py"}:  # which turns a host's words into the model's
            raise AssertionError(f"{source} names {named}; only wiring.py may")


PROGRAMS = {"launchers/shim.py", "hosts/landlock_exec.py"}  # run by themselves, and hand their environment on


def test_only_config_reads_the_environment():
    readers = set()
    for path in (path for path in files() if place(path) not in PROGRAMS):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}:
                readers.add(place(path))
    assert readers == {"config.py"}, readers


def test_only_the_cycle_writes_the_ledger():
    """The writer is opened in wiring.py with the held lock, and used by the controller and what it hands it to."""
    users = {source for source, targets in graph().items() if "ledger/writer.py" in targets}
    assert all(room(u) in {"cycle", "wiring", "ledger"} for u in users), users


def calls_of(method: str) -> list[str]:
    """Every file that calls a method of this name, once per call."""
    return [
        place(path)
        for path in files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method
    ]


def test_a_training_is_started_in_one_place():
    assert calls_of("ensure") == ["cycle/runner.py"]


@pytest.mark.parametrize("library", sorted(k for k, v in HEAVY.items() if v))
def test_a_heavy_library_has_one_door(library):
    users = {
        place(path) for path in files() if any(m == library or m.startswith(library + ".") for m, _ in imports(path))
    }
    assert users <= HEAVY[library], users


def test_the_shim_stands_alone():
    shim = ROOT / "launchers" / "shim.py"
    assert not list(ours(shim)), "shim.py is sent as it is: it imports nothing of ours"


def test_the_list_of_commands_loads_no_command():
    """`--help` and the help of a mistake are to be there at once."""
    import subprocess
    import sys

    code = "import sys\nfrom auto_experiment.cli import main\nprint([m for m in ('pydantic', 'yaml', 'sqlite3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_and_status_load_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys\nfrom auto_experiment.cli import main\nfrom auto_experiment.cli import look, campaign, watching, beside\n"
        "print([m for m in ('optuna', 'numpy', 'rich', 'matplotlib', 'anthropic', 'openai', 'httpx2', "
        "'genai_prices', 'pynvml', 'asyncio', 'apprise') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
