"""What the agent's shell and the trainings may write, enforced by the kernel: words in front of a command.

Three modes, found by running a small command behind each. ``bubblewrap``: namespaces; what is protected is mounted
read-only, other processes are not even seen. ``landlock``: where there are none; a part of a writable folder cannot be
forbidden, so that what is protected inside the project is put back afterwards (``guard.py``). ``none``: only that.

It decides no policy about commands, touches no network, needs no privilege. docs/safety.md says what each mode keeps.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auto_experiment.errors import HostError
from auto_experiment.hosts.base import Host
from auto_experiment.hosts.protected import PACKAGE, Protected, above, is_below, tops
from auto_experiment.records.run import FenceWords

BUBBLEWRAP, LANDLOCK, NONE = "bubblewrap", "landlock", "none"
LANDLOCK_EXEC = Path(__file__).with_name("landlock_exec.py")
WORD = "{word}"  # the supervisor puts the number of a descriptor here
MOST_MOUNTS = 1000  # beyond it the folders of what is protected become read-only
_PROBE_S = 20.0

# A root that makes no user namespace keeps the rights over files that it works with, and none over the machine: not
# mount, ptrace, mknod, chroot, raw disks, nor opening by handle, which would lead around every mount.
_ROOT_KEEPS = [
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "setuid",
    "setgid",
    "sys_nice",
    "sys_resource",
    "ipc_lock",
    "net_bind_service",
]
_GPUS = [
    "nvidia*",
    "dri",
    "kfd",
    "dxg",
    "accel",
    "davinci*",
    "devmm_svm",
    "hisi_hdc",
    "apex_*",
    "hl*",
    "infiniband",
    "gdrdrv",
    "knem",
    "xpmem",
]
# Through these a process outside can be asked to do something.
_DOORS = [
    "/run/docker.sock",
    "/run/podman",
    "/run/containerd",
    "/run/user",
    "/run/dbus",
    "/run/systemd/private",
    "/run/screen",
    "/run/lxd.socket",
    "/tmp/tmux-*",
    "/tmp/ssh-*",
    "/tmp/screens",
]
_SECRETS = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".pgpass",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".anthropic",
    ".claude",
    ".codex",
    ".openai",
]
_CACHES = [".cache", ".conda/pkgs", ".triton", ".nv", ".torch", ".keras", ".config/matplotlib"]
_CACHE_VARIABLES = [
    "XDG_CACHE_HOME",
    "HF_HOME",
    "TORCH_HOME",
    "PIP_CACHE_DIR",
    "UV_CACHE_DIR",
    "CONDA_PKGS_DIRS",
    "TRITON_CACHE_DIR",
    "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR",
    "TORCHINDUCTOR_CACHE_DIR",
]
_DEVICES = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"]


@dataclass(frozen=True)
class Profile:
    """What a command may do. ``writable`` None: whatever the user may. All paths are real and exist, but those of
    ``inside``, which are made before the command starts. ``env`` is what it needs to know of this."""

    writable: tuple[str, ...] | None
    protected: tuple[str, ...]
    inside: tuple[str, ...] = ()  # below what is protected, and writable
    private: tuple[str, ...] = ()
    gpus: bool = True
    env: Mapping[str, str] = field(default_factory=dict)


def shell_profile(kept: Protected, *, temporary: str, home: str, variables: Mapping[str, str]) -> Profile:
    """For the agent's shell: the project, a temporary folder of its own and the user's caches."""
    root = os.path.realpath(kept.root)
    writable = (root, os.path.realpath(temporary), *caches(home, variables, root))
    secrets = tops(os.path.realpath(path) for path in (os.path.join(home, name) for name in _SECRETS))
    secret = [path for path in secrets if os.path.exists(path) and not is_below(root, path)]
    hidden = (*kept.closed(), *_few([*kept.private_paths(), *secret], root))
    env = {"TMPDIR": temporary, "CUDA_VISIBLE_DEVICES": "", "GIT_OPTIONAL_LOCKS": "0"}  # `git status` writes nothing
    return Profile(writable, _bounded(kept.paths()), private=hidden, gpus=False, env=env)


def training_profile(kept: Protected, *, out: str, reads_private: bool = False) -> Profile:
    """For a run: all that the user may, but what is protected; of the workspace only its own ``out``. Private is hidden
    too unless ``reads_private``: the model is shown what a run prints."""
    private = [] if reads_private else kept.private_paths()
    hidden = (*kept.closed(), *_few(private, os.path.realpath(kept.root)))
    return Profile(None, _bounded(kept.paths()), inside=(os.path.realpath(out),), private=hidden)


def caches(home: str, variables: Mapping[str, str], root: str) -> list[str]:
    """The user's cache folders, as far as they exist; never one that leads to the home or to the project itself; nor
    where this program is installed."""
    named = [variables[name] for name in _CACHE_VARIABLES if os.path.isabs(variables.get(name, ""))]
    found = [os.path.realpath(path) for path in [*(os.path.join(home, name) for name in _CACHES), *named]]
    home = os.path.realpath(home)
    kept = tops(path for path in found if os.path.isdir(path) and not is_below(home, path) and not is_below(root, path))
    return [folder for path in kept for folder in _without_us(path)]


def _without_us(cache: str) -> list[str]:
    """Some installers (uvx, poetry) put a program into a cache: then the other folders of that cache."""
    ours = (PACKAGE, os.path.realpath(sys.prefix))
    if not any(is_below(place, cache) for place in ours):
        return [cache]
    with os.scandir(cache) as entries:
        folders = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    return [folder for folder in folders if not any(is_below(place, folder) for place in ours)]


def _few(paths: list[str], root: str) -> tuple[str, ...]:
    """As ``_bounded``, for what is hidden: never the project itself, nor a folder above it."""
    if len(paths) <= MOST_MOUNTS:
        return tuple(paths)
    folders = {path: os.path.dirname(path) for path in paths}
    return tuple(tops(path if is_below(root, folder) else folder for path, folder in folders.items()))


def _bounded(paths: list[str]) -> tuple[str, ...]:
    return tuple(paths if len(paths) <= MOST_MOUNTS else tops(os.path.dirname(path) for path in paths))


@dataclass(frozen=True)
class Fence:
    """``why``: why it is not a stronger one, "" when it is the strongest. ``options``: what bwrap needs here."""

    mode: str
    why: str = ""
    program: str = ""
    options: tuple[str, ...] = ()
    python: str = sys.executable
    scope: bool = False

    @classmethod
    def detect(cls, host: Host, env: Mapping[str, str], *, python: str = sys.executable) -> Fence:
        """The strongest that works here, by trying."""
        options, no_bubbles = _try_bubblewrap(host, env)
        if options:
            return cls(BUBBLEWRAP, program=options[0], options=options[1:], python=python)
        abi, no_locks = _try_landlock(host, env, python)
        if abi:
            return cls(LANDLOCK, _join(no_bubbles, _lacks(abi)), python=python, scope=abi >= 6)
        return cls(NONE, _join(no_bubbles, no_locks))

    @property
    def enforces(self) -> bool:
        """Does the kernel keep what is protected inside the project?"""
        return self.mode == BUBBLEWRAP

    @property
    def said(self) -> str:
        """One line for `check` and the report."""
        what = {
            BUBBLEWRAP: "bubblewrap: what is protected cannot be written, other processes are not seen",
            LANDLOCK: "landlock: nothing is written outside the project; what is protected inside is put back",
            NONE: "none: nothing is enforced; what is protected in the project is put back afterwards",
        }[self.mode]
        return f"{what} ({self.why})" if self.why else what

    def wrap(self, argv: Sequence[str], profile: Profile) -> list[str]:
        """A command behind the fence, for whoever starts it himself. Its exit status is bwrap's: 128 and more for
        signals."""
        if self.mode == BUBBLEWRAP:
            return [*self._bubblewrap(profile), "--", *argv]
        words = self.words(profile)
        return [*(word.replace(WORD, "-1") for word in words.argv), *argv] if words else list(argv)

    def words(self, profile: Profile) -> FenceWords | None:
        """For a supervisor (``Spec.fence``), which keeps the exact end."""
        if self.mode == BUBBLEWRAP:
            return FenceWords(BUBBLEWRAP, (*self._bubblewrap(profile), "--as-pid-1", "--"))
        if self.mode == LANDLOCK:
            return FenceWords(LANDLOCK, tuple(self._landlock(profile)))
        return None

    def _bubblewrap(self, profile: Profile) -> list[str]:
        base = ["--bind" if profile.writable is None else "--ro-bind", "/", "/"]
        devices = _devices(_GPUS if profile.gpus else ())
        shared = ["--bind-try", "/dev/shm", "/dev/shm"] if profile.gpus else ["--unshare-ipc"]
        settings = ("/sys", "/proc/sys", "/proc/sysrq-trigger")  # a root owns the kernel's: bwrap leaves some writable
        rest = [*(word for path in settings for word in ("--ro-bind-try", path, path)), *_doors(profile)]
        return [self.program, *self.options, *base, "--dev", "/dev", *devices, *shared, "--proc", "/proc", *rest] + [
            word for mount in _mounts(profile) for word in mount
        ]

    def _landlock(self, profile: Profile) -> Iterable[str]:
        yield from (self.python, "-I", "-S", str(LANDLOCK_EXEC), "--word", WORD)
        if self.scope:
            yield "--scope"
        if profile.writable is not None:
            for path in (*profile.writable, *(f"/dev/{name}" for name in _DEVICES)):
                yield from ("--write", path)
        yield "--"


# -- bubblewrap's words ---------------------------------------------------------------------------------------------


def _mounts(profile: Profile) -> list[list[str]]:
    """Outer folders before inner ones. A folder on the way to something protected is mounted onto itself: a mount point
    cannot be renamed, so that nobody puts another folder in the place of the one that we look at."""
    mounts = {path: ["--bind-try", path, path] for path in (*(profile.writable or ()), *_ways(profile))}
    mounts.update((path, ["--ro-bind-try", path, path]) for path in profile.protected)
    mounts.update((path, ["--bind", path, path]) for path in profile.inside)
    mounts.update((path, _unreadable(path)) for path in profile.private)
    return [mounts[path] for path in sorted(mounts, key=lambda path: (path.count("/"), path))]


def _ways(profile: Profile) -> set[str]:
    targets = (*profile.protected, *profile.private, *profile.inside)
    ways = {way for path in targets for way in above(path) if not _is_in(way, profile.protected)}
    return ways if profile.writable is None else {way for way in ways if _is_in(way, profile.writable)}


def _is_in(path: str, folders: Iterable[str]) -> bool:
    return any(is_below(path, folder) for folder in folders)


def _unreadable(path: str) -> list[str]:
    if os.path.isdir(path):
        return ["--perms", "0555", "--tmpfs", path, "--remount-ro", path]
    return ["--ro-bind", "/dev/null", path]  # a device on a mount that allows none: not even to be opened


def _devices(names: Iterable[str]) -> list[str]:
    found = sorted(path for name in names for path in glob.glob(f"/dev/{name}"))
    return [word for path in found for word in ("--dev-bind-try", path, path)]


def _doors(profile: Profile) -> list[str]:
    """Folders are emptied, sockets replaced; not one that the project lies in."""
    names = _DOORS if profile.gpus else [*_DOORS, "/tmp/.X11-unix"]  # a training may have a window
    found = {os.path.realpath(path) for name in names for path in glob.glob(name)}
    needed = (*profile.protected, *profile.inside, *(profile.writable or ()))
    doors = sorted(path for path in found if not any(is_below(other, path) for other in needed))
    return [word for path in doors for word in _unreadable(path)]


# -- what works here ------------------------------------------------------------------------------------------------


def _try_bubblewrap(host: Host, env: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """(program and options) of the first way that works, else ((), why)."""
    program = _which("bwrap")
    if not program:
        return (), "bwrap is not installed: apt-get install bubblewrap"
    why = ""
    for rights in _ways_to_unshare():
        options = (*rights, "--unshare-pid", "--die-with-parent")
        probe = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--as-pid-1", "--"]
        said, why = _said(host, [program, *options, *probe, "sh", "-c", "echo pid $$"], env)
        if said == "pid 1":
            return (program, *options), ""
    return (), f"bwrap does not work here: {why}"


def _ways_to_unshare() -> Iterable[tuple[str, ...]]:
    if os.geteuid() == 0:
        keep = [word for name in _ROOT_KEEPS for word in ("--cap-add", f"CAP_{name.upper()}")]
        yield ("--cap-drop", "ALL", *keep)
    yield ("--unshare-user",)


def _try_landlock(host: Host, env: Mapping[str, str], python: str) -> tuple[int, str]:
    command = [python, "-I", "-S", str(LANDLOCK_EXEC)]
    said, why = _said(host, [*command, "--abi"], env)
    if not said.isdigit() or said == "0":
        return 0, why or "the kernel has no Landlock"
    tried, why = _said(host, [*command, "--write", "/dev/null", "--", "sh", "-c", "echo up 2>/dev/null"], env)
    return (int(said), "") if tried == "up" else (0, f"Landlock does not work here: {why}")


def _said(host: Host, argv: Sequence[str], env: Mapping[str, str]) -> tuple[str, str]:
    """What a command printed, and what it complained of."""
    try:
        done = host.run(argv, env=env, timeout=_PROBE_S)
    except HostError as error:
        return "", str(error)
    complaint = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return done.stdout.decode("utf-8", "replace").strip(), complaint[-1] if complaint else f"exit status {done.code}"


def _lacks(abi: int) -> str:
    missing = ["signals to other processes are not stopped before Linux 6.12"] if abi < 6 else []
    missing += ["truncate(2) is not stopped before Linux 6.2"] if abi < 3 else []
    return "; ".join(missing)


def _join(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)


def _which(name: str) -> str:
    """Only from the system's folders: a project must not bring its own."""
    for folder in ("/usr/bin", "/bin", "/usr/local/bin"):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    return ""
