#!/usr/bin/env python3
"""Run the programs of runs.py and keep what they print, byte for byte.

    run.py [NAME ...]      (no name: every run that has no log yet)

Each run gets an empty folder, /home/user/project, and one of the virtual environments
under /home/user/.venvs. Its command goes to bash, through a pipe or through a terminal
(``tty``), so that the shell's own messages come into the log too. What is printed goes
to ../own/NAME.log. The only bytes changed: the base interpreter's folder becomes
/usr/lib/python3.11, and the address of a package registry in a tip becomes example.org.
The host is called node01 inside.
"""

import fcntl
import importlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

HERE = pathlib.Path(__file__).resolve().parent
OWN = HERE.parent / "own"
STRUCT = HERE.parent / "own_structured"
WORK = pathlib.Path("/home/user/project")
RECORD = HERE / "made.json"


def environment(run):
    venv = f"/home/user/.venvs/{run['env']}"
    env = {
        "HOME": "/home/user",
        "USER": "user",
        "LOGNAME": "user",
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
        "PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": venv,
        "TERM": "xterm-256color",
        "OMP_NUM_THREADS": "2",
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "TMPDIR": "/tmp",
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "MPLBACKEND": "Agg",
    }
    env.update(run.get("environ", {}))
    return env


def clean(data):
    base = os.path.realpath(f"{sys.base_prefix}").encode()
    data = data.replace(base + b"/lib/python3.11", b"/usr/lib/python3.11")
    data = data.replace(base + b"/bin/", b"/usr/bin/")
    data = re.sub(rb"https://\w+\.org/project/", b"https://example.org/project/", data)  # a registry's address in a tip
    for link in pathlib.Path("/home/user/.venvs").iterdir():
        data = data.replace(os.path.realpath(link).encode() + b"/", bytes(link) + b"/")
    return data


def read_all(fd, keys, limit, kill):
    """Every byte from fd; ``keys`` is [(regex, bytes to type, seconds to wait)] in order."""
    out, keys, start = b"", list(keys), time.time()
    seen = 0
    while True:
        if time.time() - start > limit:
            print("   over the limit", flush=True)
            kill()
            return out
        ready, _, _ = select.select([fd], [], [], 0.2)
        if ready:
            try:
                chunk = os.read(fd, 65536)
            except OSError:
                return out
            if not chunk:
                return out
            out += chunk
        if keys:
            hit = re.search(keys[0][0], out[seen:])
            if hit:
                _, typed, wait = keys.pop(0)
                time.sleep(wait)
                seen = len(out)
                if isinstance(typed, int):
                    os.killpg(os.tcgetpgrp(fd), typed)  # a signal to what runs in the foreground
                else:
                    os.write(fd, typed)


def go(run):
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for src, dest in run["files"]:
        (WORK / dest).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "scripts" / src, WORK / dest)
    argv = ["bash", "--norc", "--noprofile", "-i"] if run.get("session") else ["bash", "-c", run["cmd"]]
    env = environment(run)
    limit = run.get("limit", 150)
    if run.get("tty") or run.get("session"):
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(WORK)
            if run.get("session"):
                env["PS1"] = run.get("ps1", "user@node01:~/project$ ")
            os.execvpe(argv[0], argv, env)
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, run.get("cols", 100), 0, 0))
        keys = run.get("keys", [])
        if run.get("session"):
            keys = [(rb"project\$ $", run["cmd"].encode() + b"\n", 0.1), *keys, (rb"project\$ $", b"exit\n", 0.1)]
        out = read_all(fd, keys, limit, lambda: os.killpg(pid, signal.SIGKILL))
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        rc = os.waitstatus_to_exitcode(status)
    else:
        proc = subprocess.Popen(
            argv,
            cwd=WORK,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        out = read_all(proc.stdout.fileno(), [], limit, lambda: os.killpg(proc.pid, signal.SIGKILL))
        rc = proc.wait()
    (OWN / f"{run['name']}.log").write_bytes(clean(out))
    if run.get("structured"):
        dest = STRUCT / run["name"]
        shutil.rmtree(dest, ignore_errors=True)
        for pattern in run["structured"]:
            for path in sorted(WORK.glob(pattern)):
                if path.is_file():
                    to = dest / path.relative_to(WORK)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    to.write_bytes(clean(path.read_bytes()))
        (dest / "run.log").write_bytes(clean(out))
    return rc, len(out)


def versions(run):
    code = "import importlib.metadata as m,json,sys;print(json.dumps({n:m.version(n) for n in sys.argv[1:]}))"
    res = subprocess.run(
        [f"/home/user/.venvs/{run['env']}/bin/python", "-c", code, *run["versions"]],
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(res.stdout) if res.returncode == 0 else {"error": res.stderr[-200:]}


def main():
    if not os.environ.get("RUN_IN_NAMESPACE"):
        os.environ["RUN_IN_NAMESPACE"] = "1"
        os.execvp(
            "unshare", ["unshare", "--uts", "sh", "-c", 'hostname node01; exec "$@"', "sh", sys.executable, *sys.argv]
        )
    sys.path.insert(0, str(HERE))
    runs = {r["name"]: r for r in importlib.import_module("runs").RUNS}
    names = sys.argv[1:] or [n for n in runs if not (OWN / f"{n}.log").exists()]
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in names:
        run = runs[name]
        began = time.time()
        rc, size = go(run)
        record[name] = {
            "exit": rc,
            "seconds": round(time.time() - began, 1),
            "script": run["files"][0][0] if run["files"] else None,
            "tty": bool(run.get("tty") or run.get("session")),
            "cmd": run["cmd"],
            "versions": versions(run),
        }
        RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        print(f"{name:36s} rc={rc:<4d} {size:8d} bytes {time.time() - began:6.1f}s", flush=True)


if __name__ == "__main__":
    main()
