"""The demo, with its controller killed once: `make demo`.

Runs ``auto-experiment demo`` in a new folder, kills the controller (SIGKILL, no chance to clean up) while the fifth
training runs, shows that the training lives on, starts the demo again, which writes the reports, and ends with the best
value.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

KILLED_AT = 5  # the experiment whose training loses its controller
COMMAND = [sys.executable, "-m", "auto_experiment"]


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo") / time.strftime("%Y%m%d-%H%M%S")
    started = time.monotonic()
    training = run_until_killed(folder)
    alive = Path(f"/proc/{training}").exists()
    banner(f"the controller is dead; the training (pid {training}) {'lives on' if alive else 'has just ended'}")
    banner("starting it again")
    carried_on = subprocess.run([*COMMAND, "demo", str(folder)], check=False)
    if carried_on.returncode:
        return carried_on.returncode
    status = json.loads(subprocess.check_output([*COMMAND, "status", "--json", "--project", str(folder)]))
    best = status["best"]
    banner(f"{status['experiments']} experiments in {time.monotonic() - started:.0f} s, killed once, none lost")
    print(f"best {status['objective']['metric']}: {best['value']:g} in {best['run']}")
    return 0


def run_until_killed(folder: Path) -> int:
    """The pid of the training that was running when the controller was killed."""
    controller = subprocess.Popen([*COMMAND, "demo", str(folder)], stdout=subprocess.PIPE, text=True)
    assert controller.stdout is not None
    experiment = 0
    for line in controller.stdout:
        print(line, end="", flush=True)
        if found := re.match(r"cycle \d+: exp(\d+)", line):
            experiment = int(found[1])
        found = re.match(r"  training: pid (\d+)", line)
        if found and experiment == KILLED_AT:
            time.sleep(0.5)
            banner(f"kill -9 {controller.pid}: the controller, in the middle of exp{experiment:03d}")
            os.kill(controller.pid, signal.SIGKILL)
            controller.wait()
            return int(found[1])
    controller.wait()
    raise SystemExit(f"the demo ended by itself with status {controller.returncode} before it could be killed")


def banner(text: str) -> None:
    print(f"\n======== {text} ========\n", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
