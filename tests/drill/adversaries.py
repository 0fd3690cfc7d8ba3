"""Process trees that do not want to end. Each is a training's whole code; every process of a tree keeps the word ``mark``
on its command line, so that survivors can be counted in /proc without trusting anybody.

``READY`` on stdout says that the tree stands. A tree ends by itself after ``LIFE`` seconds at the latest.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

LIFE = 60

_HEAD = f"""
import os, signal, sys, time
signal.alarm({LIFE})
def fork(life={LIFE}):
    pid = os.fork()
    if pid == 0: signal.alarm(life)
    return pid
def deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD): signal.signal(number, signal.SIG_IGN)
def forever():
    while True: time.sleep(1000)
def ready():
    os.write(1, b"READY\\n")
def scrubbed(env={{}}):
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c",
        "import signal, time; signal.alarm({LIFE}); time.sleep(1000)", sys.argv[1]], env)
"""

TREES = {
    "one process": "ready(); forever()",
    "workers": """
for _ in range(4):
    if fork() == 0: forever()
ready(); forever()""",
    "double fork": """
if fork() == 0:
    if fork() == 0: forever()
    os._exit(0)
os.wait(); ready(); forever()""",
    "setsid twice, no environment, no descriptors": """
r, w = os.pipe()
if fork() == 0:
    os.setsid()
    if fork(): os._exit(0)
    os.setsid(); os.write(w, b"1"); os.closerange(0, 256); scrubbed()
os.read(r, 1); os.wait(); ready(); forever()""",
    "SIGTERM ignored": """
deaf()
for _ in range(2):
    if fork() == 0: forever()
ready(); forever()""",
    "workers blocked in a pipe write": """
for _ in range(3):
    r, w = os.pipe()
    if fork() == 0:
        deaf()
        while True: os.write(w, b"x" * 65536)
ready(); forever()""",
    "a child that holds the log open and writes": """
if fork() == 0:
    os.setsid(); deaf()
    while True: os.write(1, b"more\\n"); time.sleep(0.01)
ready(); forever()""",
    "stopped children": """
for _ in range(2):
    pid = fork()
    if pid == 0: forever()
    os.kill(pid, signal.SIGSTOP)
ready(); forever()""",
    "a fork bomb with a cap": """
deaf()
r, w = os.pipe(); os.write(w, b"x" * 60)  # as many forks as there are bytes
os.set_blocking(r, False)
def more():
    try: return bool(os.read(r, 1))
    except BlockingIOError: return False
ready()
while more(): fork()
forever()""",
    "a relay: each forks the next one and ends": """
if fork() == 0:
    deaf(); os.setsid(); end = time.monotonic() + 20
    while time.monotonic() < end:
        if os.fork(): os._exit(0)
os.wait(); ready(); forever()""",
    "two that start each other again": """
def pair(r):
    deaf()
    while True:
        mine, its = os.pipe()
        if fork() == 0:
            os.close(its); os.read(mine, 1); os.setsid(); r = mine  # EOF: the other one is dead
            continue
        os.close(mine); forever()
if fork() == 0: pair(-1)
ready(); forever()""",
    "namespaces of its own": """
import ctypes
CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
r, w = os.pipe()
if fork() == 0:
    if ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0 and fork() > 0: os._exit(0)
    os.setsid(); deaf(); os.write(w, b"1"); forever()
os.read(r, 1); ready(); forever()""",
}

# What becomes of the main process when nobody stops the tree.
LEAVES = "os._exit(0)"


def argv(kind: str, mark: str, *, leaves: bool = False) -> list[str]:
    """The command of a tree. ``leaves``: its main process ends by itself, with 0, once the tree stands."""
    body = TREES[kind]
    if leaves:
        head, _, _ = body.rpartition("forever()")
        body = head + LEAVES
    flags = ["-I"] if "ctypes" in body else ["-I", "-S"]
    return [sys.executable, *flags, "-c", _HEAD + body, mark]


def survivors(mark: str) -> dict[int, str]:
    """Living processes of a tree, by pid: state and command line."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            state = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # it has just gone
            continue
        if mark.encode() in words and state not in "ZX":
            found[int(name)] = state
    return found


def none_left(mark: str, patience: float) -> dict[int, str]:
    """Wait until the tree is gone; what is left of it after ``patience`` seconds."""
    end = time.monotonic() + patience
    while (left := survivors(mark)) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def clear(mark: str) -> None:
    """End what a failed trial has left."""
    for pid in survivors(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
