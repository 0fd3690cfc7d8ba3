"""Run the benchmarks and rewrite the table of docs/benchmarks.md.

    python benchmarks/all.py                     everything: about twenty minutes
    python benchmarks/all.py reaction start_up   only these; the others keep their lines
    python benchmarks/all.py --table             no measurement: the table from results.json

Each one begins when the machine is calm (less than a tenth of its cores busy), or after a minute of waiting; how busy
it was is in the table. The raw values of every trial go to benchmarks/results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

import measuring

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "results.json")
PAGE = os.path.join(measuring.ROOT, "docs", "benchmarks.md")
BEGIN, END = "<!-- figures: made by benchmarks/all.py -->", "<!-- end of figures -->"
BENCHMARKS = (
    "reaction",
    "overhead",
    "idle",
    "start_up",
    "live_view",
    "adopt",
    "read_logs",
    "leader_cost",
    "agent_cost",
    "model_cycles",
    "demo_seeds",
    "newcomer",
    "report",
)


def table(results: dict[str, Any]) -> str:
    """The figures, then where and when they were taken."""
    lines = ["| figure | target | measured | met | command |", "|---|---|---|---|---|"]
    for name in BENCHMARKS:
        if name in results:
            lines += [_row(figure, name) for figure in results[name]["figures"]]
    lines += ["", "What belongs to them:", ""]
    for name in BENCHMARKS:
        lines += [f"* {name}: {_escaped(note)}." for note in results.get(name, {}).get("notes", [])]
    lines += ["", "Where and when:", ""]
    for place in dict.fromkeys(measuring.in_words(result["machine"]) for result in results.values()):
        names = [n for n in BENCHMARKS if n in results and measuring.in_words(results[n]["machine"]) == place]
        lines.append(f"* {', '.join(f'{name} ({_when(results[name])})' for name in names)}: {place}.")
    return "\n".join(lines)


def _row(figure: dict[str, Any], name: str) -> str:
    verdict = {True: "yes", False: "**no**", None: "-"}[figure["met"]]
    cells = (figure["what"], figure["target"], figure["measured"], verdict, f"`benchmarks/{name}.py`")
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _when(result: dict[str, Any]) -> str:
    return (
        f"{result['date']}, {result['load']['busy_share_before']:.0%} of the cores busy before, {result['seconds']:g} s"
    )


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def load_results() -> dict[str, Any]:
    if not os.path.exists(RESULTS):
        return {}
    with open(RESULTS, encoding="utf-8") as file:
        return dict(json.load(file))


def write_results(results: dict[str, Any]) -> None:
    with open(RESULTS, "w", encoding="utf-8") as file:
        file.write(json.dumps(results, indent=1, sort_keys=True) + "\n")


def write_page(results: dict[str, Any]) -> None:
    with open(PAGE, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    after = rest.partition(END)[2]
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--table", action="store_true", help="only write the table again")
    args = parser.parse_args()
    if unknown := set(args.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    results, failed = load_results(), []
    for name in () if args.table else args.names or BENCHMARKS:
        measuring.say(f"{name} ...")
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, f"{name}.py"), "--json"], check=False, stdout=subprocess.PIPE
        )
        if done.returncode:
            failed.append(name)
            continue
        results[name] = json.loads(done.stdout)
        measuring.say(measuring.as_text(results[name]))
        write_results(results)
    write_page(results)
    if failed:
        measuring.say(f"failed, old figures kept: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
