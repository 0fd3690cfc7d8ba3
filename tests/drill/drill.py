"""The fault drill: breaks everything, at every point, many times, and counts what that did.

    python tests/drill/drill.py                       all of it: hours
    python tests/drill/drill.py kills points          only these
    python tests/drill/drill.py --scale 0.05          a twentieth of the trials

One line per figure as it comes: trials, failures, and the upper bound of the failure rate at 95 % (0 of n: 3/n). Then
the same as a table, with the machine, the date and the commit. A failure is told with the seed that repeats it. Exit
status 1 when anything has failed. A drill is a module beside this one with ``run(scale, seed, folder)``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:1] = [str(HERE.parent)]  # ``drill`` is the folder, not this file
sys.path += [str(HERE.parents[1] / "benchmarks"), str(HERE), str(HERE.parents[1])]

import measuring  # noqa: E402
from drill.figures import Figure  # noqa: E402

Facts = dict[str, Any]


def drills() -> list[str]:
    """The modules that have a ``run``, by their text: a drill that cannot be imported here must not hide the others."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.py"))}
    return [name for name, text in texts.items() if "\ndef run(scale: float" in text]


def perform(name: str, scale: float, seed: int, *, as_json: bool) -> list[Facts]:
    """One drill in this process; what it yields is printed as it comes."""
    found: list[Facts] = []
    with tempfile.TemporaryDirectory(prefix=f"drill-{name}-", ignore_cleanup_errors=True) as folder:
        try:
            for figure in importlib.import_module(f"drill.{name}").run(scale, seed, Path(folder)):
                found.append(document(name, figure))
                tell(found[-1], as_json=as_json)
        except Exception:  # a drill that breaks down has failed, and the others go on
            said = traceback.format_exc()
            found.append(document(name, Figure(f"{name}: broke down", 1, (said,))))
            tell(found[-1], as_json=as_json)
    return found


def perform_apart(name: str, scale: float, seed: int, *, as_json: bool) -> list[Facts]:
    """One drill in a process of its own, so that several can go on at the same time."""
    words = [sys.executable, str(HERE / "drill.py"), name, "--scale", str(scale), "--seed", str(seed), "--json"]
    found: list[Facts] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            found.append(json.loads(line))
            tell(found[-1], as_json=as_json)
    if not found:
        found.append(document(name, Figure(f"{name}: ended with {child.returncode} and no figure", 1, ("see above",))))
    return found


def document(name: str, figure: Any) -> Facts:
    return {
        "drill": name,
        "figure": figure.name,
        "trials": figure.trials,
        "failures": list(figure.failures),
        "bound": round(figure.bound, 6),
        "facts": {str(key): str(value) for key, value in figure.facts.items()},
    }


_telling = threading.Lock()


def tell(found: Facts, *, as_json: bool) -> None:
    with _telling:
        if as_json:
            print(json.dumps(found), flush=True)
            return
        figure = Figure(found["figure"], found["trials"], tuple(found["failures"]), found["facts"])
        print(f"[{found['drill']}] {figure.line()}", flush=True)
        for failure in figure.failures[:20]:
            print(f"    FAILED {failure}", flush=True)


def table(found: list[Facts], scale: float, seconds: float) -> str:
    lines = ["| drill | figure | trials | failures | 95 % bound | also measured |", "|---|---|---|---|---|---|"]
    for one in found:
        also = ", ".join(f"{name} {value}" for name, value in one["facts"].items())
        cells = (one["drill"], one["figure"], f"{one['trials']:,}", len(one["failures"]), f"{one['bound']:.2%}", also)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    where = measuring.in_words(measuring.machine())
    part = "" if scale == 1 else f", {scale:g} of the long form"
    return "\n".join([*lines, "", f"{time.strftime('%Y-%m-%d', time.gmtime())}, {seconds:.0f} s{part}; {where}."])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(drills())} (default: all)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="share of the long form (1.0)")
    parser.add_argument("--seed", type=int, default=int(time.time()), metavar="N", help="repeats the draws of a drill")
    parser.add_argument("--json", action="store_true", help="one JSON document per figure and nothing else")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="drills at the same time (1)")
    args = parser.parse_args()
    if unknown := set(args.names) - set(drills()):
        parser.error(f"there is no drill {', '.join(sorted(unknown))}; there are {', '.join(drills())}")
    if args.scale <= 0:
        parser.error(f"--scale {args.scale:g}: give a number above 0")
    began = time.monotonic()
    if not args.json:
        print(f"seed {args.seed}, scale {args.scale:g}, {shlex.join(args.names or drills())}", flush=True)
    one = perform if args.jobs == 1 else perform_apart
    with ThreadPoolExecutor(max_workers=max(args.jobs, 1)) as pool:
        done = pool.map(lambda name: one(name, args.scale, args.seed, as_json=args.json), args.names or drills())
        found = [figure for figures in done for figure in figures]
    if not args.json:
        print("\n" + table(found, args.scale, time.monotonic() - began), flush=True)
    return 1 if any(figure["failures"] for figure in found) else 0


if __name__ == "__main__":
    sys.exit(main())
