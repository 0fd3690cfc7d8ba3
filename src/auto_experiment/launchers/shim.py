"""The supervisor of one training run, and the questions that can be asked about it. One file, standard library only.

It is started as ``python -I -S shim.py VERB ...`` on the machine where the run lives, so it also runs under Python 3.6.

    ensure DIR                 start the attempt unless somebody has; {"spec": ..., "env": ...} comes on stdin
    state DIR...               what is known of attempts
    stop DIR REASON [GRACE]    end the whole process tree; an attempt that nobody took is made void
    sweep DIR                  after a loss: end what is left of the tree
    follow                     push log bytes, starts, ends and lasting trouble of the attempts named on stdin, until it ends
    tether                     one command that lives no longer than our stdin is open: {"argv": ..., "cwd": ...} is its
                               first line, the output goes to stdout as it comes, the end in JSON to stderr
    inner                      the first process in a fence with a pid namespace of its own; nobody else calls it

Every verb answers in JSON on stdout. Exit status: 0 done, 3 refused (the answer says why), 4 failed.

What makes it safe, in six sentences. An attempt is taken by linking a complete ``claim`` into its folder: link(2)
succeeds once. The shim holds the read end of the FIFO ``alive``, so the kernel tells everybody when it dies. The training
waits at a gate until ``started.json`` is on disk, so "claimed, dead, not started" is certain. The shim is a subreaper and
signals only its own unreaped children, so it cannot hit a foreign process and finds daemons that left the session.
``exit.json`` is written after the last process of the tree is gone, so it means that. The shim's parent, the guard, is a
subreaper too: it inherits the tree of a shim that was killed, and ends it.

It does not read the training's output, retry, decide anything about results, or write an environment value to disk.
"""

import errno
import json
import os
import select
import signal
import stat
import sys
import time

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the price of importing typing
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, NoReturn, Optional, Set, Tuple

    Json = Dict[str, Any]

FORMAT = 1
SELF = os.path.abspath(__file__)  # before anybody changes the folder
TOKEN = b"AUTO_EXPERIMENT_ATTEMPT"  # set in the training's environment to the attempt's folder
RUN_DIR = b"AUTO_EXPERIMENT_RUN_DIR"
LATER = b"AUTO_EXPERIMENT_LATER_"  # a variable that the fence must not obey itself has this before its name
SETTLE = 0.2  # seconds that orphans get to end by themselves once the main process has
LEFTOVER_GRACE = 5.0  # then seconds between SIGTERM and SIGKILL for them; less when the spec's grace is shorter
GUARD_PATIENCE = 10.0  # seconds that a sweep waits for the guard of a dead shim to end its tree
CHUNK = 256 * 1024  # bytes of a log per turn of `follow`
QUICK, SLOW = 0.02, 1.0  # seconds between two tries of something that should not take long, and that may
LOOK = 0.05  # seconds between two looks at a log that has just grown; up to SLOW at one that is silent
PATIENCE = 0.5  # how much later than it was written a line may be seen, as a share of the silence before it
DOUBT = 10.0  # seconds between two checks that the holder of a FIFO is the claimant
NEST_ROUNDS = 20  # looks for new processes in a fence that is to end: the kernel ends whoever was not seen
NEST_PATIENCE = 60.0  # seconds until a fence must be up
TETHER_GRACE = 2.0  # seconds between SIGTERM and SIGKILL for a command that ran into its limit
TROUBLE = 10.0  # seconds that an attempt must be out of reach before `follow` says so
# What the kernel answers when there is no such thing, or when it is not ours to see. Any other error says nothing of what
# was asked, and nobody may take it for an answer; these least of all, with which a machine says that it has no process,
# memory or descriptor to spare now.
UNSEEN = (errno.ENOENT, errno.ESRCH, errno.ENOTDIR, errno.EACCES, errno.EPERM)
SCARCE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


# --- when the machine has nothing to spare ----------------------------------------------------------------------------


def insist(act: "Callable[[], Any]") -> "Any":
    """What ``act`` returns, tried again for as long as the machine has no process, memory or descriptor for it."""
    while True:
        try:
            return act()
        except OSError as error:
            if error.errno not in SCARCE:
                raise
            note_once("trying again: %s" % os.strerror(error.errno))
        time.sleep(SETTLE)


def manage(act: "Callable[[], object]") -> bool:
    """False: it could not be done now. For who comes again and must not end by an error."""
    try:
        act()
        return True
    except OSError as error:
        note_once("the processes cannot be looked at now: %s" % error.strerror)
        return False


SAID = set()  # type: Set[str]


def note_once(text: str) -> None:
    if text not in SAID:
        SAID.add(text)
        note(text)


# --- text, files, JSON -----------------------------------------------------------------------------------------------
# Paths are bytes inside: under LANG=C an old Python cannot encode a non-ASCII str, but bytes always pass.


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def shown(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def at(folder: bytes, name: bytes) -> bytes:
    return os.path.join(folder, name)


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_all(fd: int) -> bytes:
    return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))


def read_small(path: bytes) -> bytes:
    """A file of /proc or /sys; b"" when it is missing or may not be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return read_all(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in UNSEEN:
            raise
        return b""


def encode(record: "Json") -> bytes:
    return json.dumps(record, sort_keys=True).encode() + b"\n"


def answer(record: "Json", status: int = 0) -> int:
    write_all(1, encode(record))
    return status


def read_record(folder: bytes, name: bytes) -> "Optional[Json]":
    """The record, None when there is no such file, {} when it is there but is no JSON object."""
    try:
        fd = os.open(at(folder, name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        record = json.loads(read_all(fd).decode("utf-8"))
    except (ValueError, IsADirectoryError):
        return {}
    finally:
        os.close(fd)
    return record if isinstance(record, dict) else {}


def write_beside(folder: bytes, name: bytes, record: "Json") -> bytes:
    """A complete and durable file next to its place. The random part keeps two hosts on one file system apart."""
    path = at(folder, b"%s.%d-%s.tmp" % (name, os.getpid(), os.urandom(4).hex().encode()))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)  # whatever the umask is: we must be able to read it again
        write_all(fd, encode(record))
        os.fsync(fd)
    except OSError:
        remove(path)
        raise
    finally:
        os.close(fd)
    return path


def put(folder: bytes, name: bytes, record: "Json", replace: bool = False) -> bool:
    """Put a whole record in its place: after a crash all of it is there, or nothing. False: somebody was before us."""
    beside = write_beside(folder, name, record)
    try:
        if replace:
            os.rename(beside, at(folder, name))
        else:
            os.link(beside, at(folder, name))
    except FileExistsError:
        if os.stat(beside).st_nlink != 2:  # 2: NFS repeated a link of ours whose answer was lost
            return False
    finally:
        remove(beside)
    sync_folder(folder)
    return True


def remove(path: bytes) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def sync_folder(folder: bytes) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: bytes) -> None:
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    os.makedirs(parent, exist_ok=True)
    try:
        os.mkdir(folder, 0o700)
        os.chmod(folder, 0o700)
        sync_folder(parent)
    except FileExistsError:  # another `ensure` at the same time
        pass


# --- processes and machines ------------------------------------------------------------------------------------------


class Process:
    """A line of /proc/PID/stat. ``ticks`` (its start, since boot) tells it from a later process with the same pid."""

    def __init__(self, pid: int, line: bytes) -> None:
        fields = line[line.rindex(b")") + 2 :].split()  # the name before it may hold blanks and parentheses
        self.pid = pid
        self.zombie = fields[0] in (b"Z", b"X")
        self.ppid, self.group, self.session = int(fields[1]), int(fields[2]), int(fields[3])
        self.ticks = int(fields[19])
        self.descends = False  # from us: then its session is one that the training or its offspring began


def process(pid: int) -> "Optional[Process]":
    line = read_small(b"/proc/%d/stat" % pid)
    return Process(pid, line) if line else None


def all_processes() -> "Dict[int, Process]":
    found = (process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {one.pid: one for one in found if one and not one.zombie}


def own_ticks() -> int:
    me = process(os.getpid())
    if me is None:
        raise OSError("/proc does not show this process: no attempt can be told from another here")
    return me.ticks


def boot_id() -> str:
    found = read_small(b"/proc/sys/kernel/random/boot_id").decode().strip()
    if not found:
        raise OSError("/proc/sys/kernel/random/boot_id cannot be read: a reboot could not be seen here")
    return found


def pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError as error:
        if error.errno not in UNSEEN:
            raise
        return ""


def prctl(option: int, value: int) -> bool:
    """False when this Python has no ctypes or the kernel refuses; then the run token has to do."""
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def become_subreaper() -> bool:
    return prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans of our tree become our children, not those of pid 1


def die_with_parent() -> bool:
    return prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def children() -> "List[int]":
    """Our direct children, zombies included."""
    lists = [read_small(b"/proc/self/task/%d/children" % int(task)) for task in os.listdir("/proc/self/task")]
    if any(lists):
        return [int(pid) for line in lists for pid in line.split()]
    me = os.getpid()  # none, or a kernel that does not keep the list
    return [one.pid for one in all_processes().values() if one.ppid == me]


def living_children(pid: int) -> "List[Process]":
    return [one for one in all_processes().values() if one.ppid == pid]


def members(token: str, since: int, session: "Optional[int]", leader_ticks: int) -> "Dict[int, Process]":
    """Who belongs to an attempt, when no subreaper can say: processes that carry its token or live in its session, and
    all that descend from them; never we ourselves and never those above us. A session counts only while its leader is
    the training itself or gone: a pid that came round again leads another session."""
    table = all_processes()
    leader = table.get(session or 0)
    if session and leader and leader.ticks != leader_ticks:
        session = None
    mark = TOKEN + b"=" + raw(token)
    spared = ancestry(table)
    later = [one for one in table.values() if one.ticks >= since and one.pid not in spared]
    return with_offspring({one.pid: one for one in later if one.session == session or carries(one.pid, mark)}, later)


def with_offspring(found: "Dict[int, Process]", among: "Iterable[Process]") -> "Dict[int, Process]":
    grown = True
    while grown:
        more = {one.pid: one for one in among if one.ppid in found and one.pid not in found}
        found.update(more)
        grown = bool(more)
    return found


def tree() -> "Dict[int, Process]":
    """All that live below us."""
    table, me = all_processes(), os.getpid()
    found = with_offspring({one.pid: one for one in table.values() if one.ppid == me}, list(table.values()))
    for one in found.values():
        one.descends = True
    return found


def fell(
    find: "Callable[[], Dict[int, Process]]", spared: int = 0, rounds: int = 1000
) -> "Dict[Tuple[int, int], Process]":
    """SIGKILL for all that ``find`` shows. Everybody is stopped first, until nobody new turns up: one that can still
    run would start another in the place of each that falls. Of those that descend from us the whole group is stopped
    with them: who has forked and gone between the look and the blow has left another one in it. But not the group
    ``spared``: whoever is stopped and not killed would stay."""
    seen = {}  # type: Dict[Tuple[int, int], Process]
    for _ in range(rounds):  # a bomb that forks faster than this is met again by the next call
        fresh = {(one.pid, one.ticks): one for one in find().values() if (one.pid, one.ticks) not in seen}
        if not fresh:
            break
        for one in fresh.values():
            strike(one, signal.SIGSTOP)
            if one.descends and one.session != os.getsid(0) and one.group > 1 and one.group != spared:
                try:
                    os.killpg(one.group, signal.SIGSTOP)
                except OSError:  # it has gone, or is another user's
                    pass
        seen.update(fresh)
    for one in seen.values():
        strike(one, signal.SIGKILL)
    return seen


def carries(pid: int, mark: bytes) -> bool:
    return mark in read_small(b"/proc/%d/environ" % pid).split(b"\0")


def ancestry(table: "Dict[int, Process]") -> "List[int]":
    line = [os.getpid(), os.getppid()]
    while line[-1] in table:
        line.append(table[line[-1]].ppid)
    return line


def open_pidfd(pid: int) -> int:
    """Closes the gap between the look and the blow. -1 before Python 3.9 and Linux 5.3, and where a filter forbids it."""
    try:
        return int(getattr(os, "pidfd_open")(pid)) if hasattr(os, "pidfd_open") else -1
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        return -1


def strike(target: Process, number: int) -> bool:
    """Signal a process that need not be our child: only if it is still the one that we saw. Raises when nobody can look
    now."""
    handle = -1
    try:
        handle = open_pidfd(target.pid)
        now = process(target.pid)
        if now is None or now.ticks != target.ticks:
            return False
        if handle >= 0:
            getattr(signal, "pidfd_send_signal")(handle, number)
        else:
            os.kill(target.pid, number)
        return True
    except OSError as error:
        if error.errno not in UNSEEN:
            raise
        return False
    finally:
        if handle >= 0:
            os.close(handle)


# --- what is known of an attempt -------------------------------------------------------------------------------------


def sight(folder: bytes) -> "Json":
    """The attempt's state. Death is looked for first and exit.json read after it: the other order would call a run lost
    that ends between the two."""
    claim = read_record(folder, b"claim")
    if not claim or "token" not in claim:  # none, or nothing that we wrote
        return {"state": "absent"}
    if claim.get("void"):
        return lost("never started", None)
    if claim.get("hostname") != os.uname().nodename:
        ending = read_exit(folder, claim)  # the shim over there may be alive: look, and touch nothing
        return {"state": "ended", "exit": ending} if ending else {"state": "unreachable", "hostname": claim["hostname"]}
    rebooted = claim.get("boot_id") != boot_id()
    if not rebooted and is_alive(folder, claim):
        return running(folder, claim)
    if not rebooted and not read_exit(folder, claim) and lives_on(claim):
        # Its FIFO is here and nobody holds it: this folder is a copy, and the run is the original's.
        return {"state": "unreachable", "hostname": "%s, in %s" % (claim["hostname"], claim["token"])}
    return aftermath(folder, claim, rebooted)


def running(folder: bytes, claim: "Json") -> "Json":
    started = read_record(folder, b"started.json") or {}
    return {"state": "running", "claim": claim, "pid": started.get("pid"), "started_at": started.get("at")}


def aftermath(folder: bytes, claim: "Json", rebooted: bool) -> "Json":
    """The shim is dead: what did it leave?"""
    ending = read_exit(folder, claim)
    if ending:
        return {"state": "ended", "exit": ending}
    quarantine(folder)
    started = read_record(folder, b"started.json")
    if rebooted:
        return lost("reboot", started)
    return lost("never started" if started is None else "the supervisor died, exit not observed", started)


def lost(reason: str, started: "Optional[Json]") -> "Json":
    when = started.get("at") if started else None
    return {"state": "lost", "reason": reason, "started": started is not None, "started_at": when}


def is_alive(folder: bytes, claim: "Json") -> bool:
    pipe = open_alive(folder, claim)
    if pipe < 0:
        return False
    os.close(pipe)
    return is_claimant(claim)


def open_alive(folder: bytes, claim: "Json") -> int:
    """The write end of ``alive``; -1 when nobody holds its read end: the shim is dead. When somebody has removed the
    FIFO, the shim still holds it, and its descriptor leads there."""
    try:
        return os.open(at(folder, b"alive"), os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return open_removed(folder, claim)
        if error.errno in (errno.ENXIO, errno.ENOTDIR, errno.ELOOP):
            return -1
        raise


def open_removed(folder: bytes, claim: "Json") -> int:
    """The FIFO of a living claimant whose name is gone from this very folder; -1 when there is none."""
    if claim.get("pid_ns") != pid_namespace() or not is_claimant(claim):
        return -1
    held = b"/proc/%d/fd" % claim["pid"]
    try:
        for name in os.listdir(held):
            link = at(held, name)
            if os.readlink(link) == at(os.path.realpath(folder), b"alive (deleted)"):
                return os.open(link, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:  # it has just ended, or belongs to somebody else
        if error.errno not in UNSEEN + (errno.ENXIO,):
            raise
    return -1


def lives_on(claim: "Json") -> bool:
    """Is the claimant certainly alive? One that is about to end closes its files an instant before it is gone."""
    if claim.get("pid_ns") != pid_namespace():
        return False
    end = time.monotonic() + 1.0
    while is_claimant(claim):
        if time.monotonic() > end:
            return True
        time.sleep(0.02)
    return False


def is_claimant(claim: "Json") -> bool:
    """Does the claimant hold the FIFO, or a stranger? Of another pid namespace the numbers say nothing."""
    if claim.get("pid_ns") != pid_namespace():
        return True
    holder = process(int(claim["pid"]))
    return holder is not None and not holder.zombie and holder.ticks == claim["start_ticks"]


NUMBER = (int, float)
EXIT_FIELDS = {
    "timed_out": (bool,),
    "started_at": NUMBER,
    "ended_at": NUMBER,
    "duration_s": NUMBER,
    "log_bytes": (int,),
    "leftovers": (int,),
    "rusage": (dict,),
    "stopped": (str, type(None)),
    "oom": (bool, type(None)),
}


def read_exit(folder: bytes, claim: "Json") -> "Optional[Json]":
    """exit.json, if it is whole and was written by this attempt's claimant; otherwise None."""
    record = read_record(folder, b"exit.json")
    if not record or record.get("format") != FORMAT:
        return None
    mine = [record.get("claim_pid"), record.get("claim_start_ticks"), record.get("attempt"), record.get("spec_hash")]
    if mine != [claim.get("pid"), claim.get("start_ticks"), claim.get("attempt"), claim.get("spec_hash")]:
        return None
    if sorted(type(record.get(key)).__name__ for key in ("code", "signal")) != ["NoneType", "int"]:
        return None
    return record if all(isinstance(record.get(key), kinds) for key, kinds in EXIT_FIELDS.items()) else None


def quarantine(folder: bytes) -> None:
    """Keep an exit.json that cannot be trusted, under a name that nobody reads."""
    number = 1
    while os.path.lexists(at(folder, b"exit.json.bad-%d" % number)):
        number += 1
    try:
        os.rename(at(folder, b"exit.json"), at(folder, b"exit.json.bad-%d" % number))
    except OSError:  # there was none
        pass


# --- ensure: take the attempt and start the supervisor ---------------------------------------------------------------


def ensure(folder: bytes) -> int:
    request = json.loads(read_all(0).decode("utf-8"))
    make_folder(folder)
    if not os.path.lexists(at(folder, b"spec.json")):
        put(folder, b"spec.json", request["spec"])
    kept = read_record(folder, b"spec.json") or {}
    if kept.get("hash") != request["spec"]["hash"]:
        return answer({"error": "spec_conflict", "given": request["spec"]["hash"], "kept": kept.get("hash")}, 3)
    trouble = ""
    if read_record(folder, b"claim") is None:
        make_alive(folder)
        trouble = launch(folder, request["spec"], request["env"])
    claim = read_record(folder, b"claim")
    if not claim or "token" not in claim:
        trouble = trouble or ("the supervisor died before its claim" if claim is None else "its claim cannot be read")
        return answer({"error": "not_started", "detail": trouble}, 4)
    return answer({"claim": claim})


def make_alive(folder: bytes) -> None:
    try:
        os.mkfifo(at(folder, b"alive"), 0o600)
        os.chmod(at(folder, b"alive"), 0o600)
    except FileExistsError:
        if not stat.S_ISFIFO(os.lstat(at(folder, b"alive")).st_mode):
            raise OSError(errno.EEXIST, "something that is not a FIFO is in the way", at(folder, b"alive")) from None


def launch(folder: bytes, spec: "Json", env: "Dict[str, str]") -> str:
    """Fork the supervisor and wait until the attempt is claimed, by it or by another. Returns its complaint, if any."""
    report, tell = os.pipe()
    if os.fork() == 0:
        supervise(folder, spec, env, tell)
    os.close(tell)
    return read_all(report).decode("utf-8", "replace")


def supervise(folder: bytes, spec: "Json", env: "Dict[str, str]", tell: int) -> "NoReturn":
    """The life of the supervising process, and of the guard above it."""
    supervisor = None
    try:
        os.setsid()
        detach(folder, keep=tell)
        guarded = become_guarded()
        os.chdir(folder)  # names are relative from here: the folder may be moved while we work
        supervisor = Supervisor(folder, spec, guarded)
        if supervisor.claim():
            os.close(tell)
            supervisor.run(env)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)  # into shim.log
        if supervisor and supervisor.claimed:
            supervisor.abandon()
        else:
            write_all(tell, str(error).encode("utf-8", "replace"))
    finally:
        os._exit(0)


def become_guarded() -> bool:
    """Go on in a child. Its parent, the guard, does nothing while we live. When we are killed, the whole tree comes to
    it, daemons with a scrubbed environment and a session of their own included, and it ends every process of it."""
    if not become_subreaper():
        return False  # the tree would go to pid 1
    shim = os.fork()
    if shim == 0:
        os.setsid()  # a signal to our group or session does not reach the guard
        return True
    try:
        insist(lambda: close_others(()))
        os.chdir(b"/")  # the folder may be removed
        set_oom_score(b"-500")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)  # what can be refused is for the shim
        guard(shim)
    finally:
        os._exit(0)


def guard(shim: int) -> None:
    while os.waitpid(-1, 0)[0] != shim:
        pass
    pause = QUICK
    while True:
        manage(lambda: fell(tree))
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(pause)  # a process in the kernel's hands ends when that lets it
        pause = min(pause * 1.5, SLOW)


def detach(folder: bytes, keep: int) -> None:
    """Let go of all that we inherited: the caller's pipes, locks and terminal."""
    null = os.open(b"/dev/null", os.O_RDWR)
    log = os.open(at(folder, b"shim.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    for source, target in ((null, 0), (null, 1), (log, 2)):
        os.dup2(source, target)
    close_others((keep,))


def close_others(keep: "Iterable[int]") -> None:
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:  # the listing's own
                pass


# --- the training's side of the fork ---------------------------------------------------------------------------------


def become_training(
    spec: "Json", env: "Dict[bytes, bytes]", parent: int, gate: int, word: int, log: int, told: int, oom: bytes
) -> "NoReturn":
    """Between fork and exec. The training gets three descriptors, a session of its own and default signals. With
    ``told`` we become the outer side of a fence instead, and the gate is for the training in it."""
    doing = ["prepare"]
    status = 126
    try:
        signal.set_wakeup_fd(-1)  # else our signals would be told to the shim
        os.setsid()
        die_with_parent()
        insist(
            lambda: close_others((gate, word, log, told))
        )  # `alive` above all: holding it makes a dead shim look alive
        default_signals()
        if told < 0:
            set_oom_score(oom)
        if os.getppid() != parent or (told < 0 and os.read(gate, 1) != b"1"):
            os._exit(125)  # the shim died before started.json was on disk: nothing must run
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        doing[0] = "enter %r" % spec["cwd"]
        os.chdir(raw(spec["cwd"]))
        doing[0] = "make the run folder"
        if env.get(RUN_DIR):
            os.makedirs(env[RUN_DIR], exist_ok=True)
        keep_limits(spec)
        if told < 0:
            os.close(gate)
            start_program(fenced(spec, word), hide(env) if spec.get("fence") else env, doing)
        else:
            enter_fence(spec, env, gate, word, told, oom, doing)
    except BaseException as error:
        status = cannot(doing[0], error, word)
    finally:
        os._exit(status)


def start_program(argv: "List[bytes]", env: "Dict[bytes, bytes]", doing: "List[str]") -> None:
    doing[0] = "start %r" % shown(argv[0])
    os.execvpe(argv[0], argv, env)


def cannot(doing: str, error: BaseException, word: int) -> int:
    """Say why nothing was started; the exit status that a shell would have."""
    complain("cannot %s: %s" % (doing, error.strerror if isinstance(error, OSError) else error), word)
    missing = doing.startswith("start") and isinstance(error, (FileNotFoundError, NotADirectoryError))
    return 127 if missing else 126


def keep_limits(spec: "Json") -> None:
    """Resource limits of a shell command: by the name that the kernel has for them."""
    if spec.get("limits"):
        import resource

        for name, value in spec["limits"].items():
            _, hard = resource.getrlimit(getattr(resource, name))
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(getattr(resource, name), (value, value))


# --- a fence ---------------------------------------------------------------------------------------------------------
# One of two kinds (hosts/fence.py makes their words). "landlock" restricts itself and becomes the training: nothing here
# is different. "bubblewrap" makes namespaces: bwrap stays outside, `inner` is the first process inside, and the training
# its child. A pid namespace ends with its first process: no process of it can be left.


def has_nest(spec: "Json") -> bool:
    return (spec.get("fence") or {}).get("kind") == "bubblewrap"


def fenced(spec: "Json", word: int) -> "List[bytes]":
    """The words to start, behind a fence that needs no process of its own. It may have to complain too."""
    fence = (spec.get("fence") or {}).get("argv") or []
    if fence:
        os.set_inheritable(word, True)
    return [raw(part.replace("{word}", str(word))) for part in fence] + [raw(part) for part in spec["argv"]]


def enter_fence(
    spec: "Json", env: "Dict[bytes, bytes]", gate: int, word: int, told: int, oom: bytes, doing: "List[str]"
) -> None:
    for fd in (gate, word, told):
        os.set_inheritable(fd, True)
    refuse_signals()  # a group is asked to end as a whole: bwrap and `inner` are in it, and must outlive the training
    numbers = [str(number).encode() for number in (gate, word, told)]
    ours = [os.fsencode(part) for part in (sys.executable, "-I", "-S", SELF, "inner")]
    argv = [raw(part) for part in spec["fence"]["argv"]] + ours + numbers + [oom or b"-"]
    start_program(argv + [raw(part) for part in spec["argv"]], hide(env), doing)


def refuse_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def hide(env: "Dict[bytes, bytes]") -> "Dict[bytes, bytes]":
    """What the loader obeys is for the training, not for its fence; and Python sets LC_CTYPE where there is none."""
    later = (b"LD_", b"GLIBC_", b"LC_CTYPE")
    hidden = {(LATER + key if key.startswith(later) else key): value for key, value in env.items()}
    hidden[LATER] = b"1"
    return hidden


def unhide(env: "Dict[bytes, bytes]") -> "Dict[bytes, bytes]":
    own = {key: value for key, value in env.items() if not (key == LATER or key == b"LC_CTYPE" and LATER in env)}
    return {(key[len(LATER) :] if key.startswith(LATER) else key): value for key, value in own.items()}


def inner(words: "List[bytes]") -> int:
    """Pid 1 of a fence: starts the training, waits for all that comes to it, and hands the training's raw wait status
    out. A signal cannot end it from inside, and it does not end before the last process of the namespace."""
    gate, word, told = [int(number) for number in words[:3]]
    refuse_signals()
    if os.geteuid() == 0 and not drop_capabilities():
        complain("the fence could not be put up: a root's rights could not be given up", word)
        return 126
    main = os.fork()
    if main == 0:
        become_fenced(words[4:], gate, word, told, words[3])
    prctl(4, 0)  # PR_SET_DUMPABLE: the training must not write what we tell, nor into our memory
    os.close(gate)
    tell(told, b"up\n")
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return 0
        if pid == main:
            tell(told, b"%d\n" % status)


# What a root keeps in a fence: the rights over files that it works with, KILL, SETGID, SETUID, NET_BIND_SERVICE, IPC_LOCK,
# SYS_NICE and SYS_RESOURCE. Not SYS_ADMIN, by which it could make what is read-only writable. bwrap, asked to drop them,
# leaves them all to a first process that is not its own.
KEPT = (0, 1, 3, 4, 5, 6, 7, 10, 14, 23, 24)


def drop_capabilities() -> bool:
    """Also out of the bounding set, from which a root that becomes another program would get them back."""
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        for number in set(range(64)) - set(KEPT):
            libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP; fails for a number that this kernel does not know
        mask = sum(1 << number for number in KEPT)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        data = (ctypes.c_uint32 * 6)()
        if libc.capget(header, data) != 0:
            return False
        held = mask & data[1]  # a container may have given us less
        data[0], data[1], data[2], data[3], data[4], data[5] = held, held, 0, 0, 0, 0
        return bool(libc.capset(header, data) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def tell(told: int, word: bytes) -> None:
    try:
        write_all(told, word)
    except BrokenPipeError:  # the supervisor is dead, and we shall be
        pass


def become_fenced(argv: "List[bytes]", gate: int, word: int, told: int, oom: bytes) -> "NoReturn":
    doing, status = ["prepare"], 126
    try:
        os.setsid()
        os.close(told)
        default_signals()
        set_oom_score(oom)
        if os.read(gate, 1) != b"1":
            os._exit(125)
        os.close(gate)
        os.set_inheritable(word, False)
        start_program(argv, unhide(dict(os.environb)), doing)
    except BaseException as error:
        status = cannot(doing[0], error, word)
    finally:
        os._exit(status)


def default_signals() -> None:
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):  # SIGKILL, SIGSTOP and what the C library keeps for itself
            pass
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def open_log() -> int:
    """Never waits: a FIFO in its place is an error."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(b"train.log", flags | os.O_NONBLOCK, 0o600)
    os.set_blocking(log, True)
    return log


def complain(text: str, word: int) -> None:
    message = text.encode("utf-8", "backslashreplace")
    try:
        os.write(word, message[:4000])  # for exit.json
        write_all(2, b"auto-experiment: " + message + b"\n")  # for whoever reads the log
    except OSError:
        pass


def set_oom_score(value: bytes) -> bytes:
    """Set our own inclination to be killed when memory is short; returns the old one, b"" when nothing was changed."""
    try:
        old = read_small(b"/proc/self/oom_score_adj").strip()
        fd = os.open(b"/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value)
        finally:
            os.close(fd)
        return old
    except OSError:  # lowering it is a privilege
        return b""


# --- the supervisor --------------------------------------------------------------------------------------------------


class Tree:
    """The processes of one start: the main one, all that descend from it, and the fence around them if there is one.
    Waits in one poll()."""

    def __init__(self, spec: "Json", token: str) -> None:
        self.spec, self.token = spec, token
        self.since = 0  # in ticks: nothing that is older is of this tree
        self.main = 0  # the training's pid
        self.outer = 0  # the pid of the fence's outer side, our child; 0 without one
        self.nest = None  # type: Optional[Process]  # the first process inside, as we see it from outside
        self.told = -1  # where it tells the training's end
        self.main_fd = -1  # a handle of the training when it is not our child, so that nobody else is signalled
        self.word = -1  # where the child says why it could not exec
        self.started = {}  # type: Json
        self.born = self.died = 0.0  # monotonic clock
        self.ended_at = 0.0
        self.status = None  # type: Optional[int]
        self.subreaper = False
        self.childless = False
        self.cpu_s, self.max_rss_kib = 0.0, 0
        self.rest = b""  # what the fence has told so far
        self.signals = listen_to_signals()
        self.poll = select.poll()
        self.poll.register(self.signals, select.POLLIN)
        self.on = {self.signals: self.read_signals}  # type: Dict[int, Callable[[], None]]

    def spawn(self, env: "Dict[str, str]", log: int) -> int:
        """The child waits at a gate. Returns the gate's other end."""
        score = raw(self.spec.get("oom_score") or shown(set_oom_score(b"-500")))
        settings = {raw(key): raw(value) for key, value in env.items()}
        settings[TOKEN] = raw(self.token)
        gate, release = insist(os.pipe)
        self.word, word = insist(os.pipe)
        tell = -1
        if has_nest(self.spec):
            self.told, tell = insist(os.pipe)
        me = os.getpid()
        child = insist(os.fork)
        if child == 0:
            become_training(self.spec, settings, me, gate, word, log, tell, score)
        for fd in (gate, word, log, tell):
            if fd >= 0:
                os.close(fd)
        if tell >= 0:
            self.outer = child
            self.wait_for_nest()
        else:
            self.main = child
        return int(release)

    def wait_for_nest(self) -> None:
        """Until the training waits inside. When the fence cannot be put up, its outer side is all that there is."""
        ready = select.select([self.told], [], [], NEST_PATIENCE)[0]
        up = ready and os.read(self.told, 3) == b"up\n"
        inside = insist(lambda: living_children(self.outer)) if up else []
        mains = insist(lambda: living_children(inside[0].pid)) if inside else []
        if not mains:
            self.give_up_fence()
            return
        self.nest, self.main = inside[0], mains[0].pid
        self.main_fd = insist(lambda: open_pidfd(self.main))
        self.poll.register(self.told, select.POLLIN)
        self.on[self.told] = self.hear

    def give_up_fence(self) -> None:
        """Its outer side has said why in the log, and is all that there is to be told of."""
        self.main, self.outer = self.outer, 0
        end = time.monotonic() + 1.0
        found = process(self.main)
        while found and not found.zombie and time.monotonic() < end:
            time.sleep(QUICK)
            found = process(self.main)
        os.kill(self.main, signal.SIGKILL)

    def hear(self) -> None:
        if not self.hear_more():
            self.poll.unregister(self.told)

    def hear_more(self) -> bool:
        data = os.read(self.told, 100)
        self.rest += data
        if self.rest.endswith(b"\n") and self.status is None:
            self.ends(int(self.rest.split()[0]))
        return bool(data)

    def ends(self, status: int) -> None:
        self.status, self.died, self.ended_at = status, time.monotonic(), time.time()

    def read_signals(self) -> None:
        os.read(self.signals, 4096)

    def wait(self, until: float) -> None:
        """Until something happens or ``until`` has come; a training that runs costs no wake-up."""
        left = min(until - time.monotonic(), 86400.0)
        for fd, _ in self.poll.poll(max(0.0, left * 1000)):
            self.on[fd]()
        self.reap()

    def reap(self) -> None:
        """Collect every child that has ended; ECHILD from a subreaper means that the whole tree is gone."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if pid == 0:
                self.childless = False
                return
            self.cpu_s += usage.ru_utime + usage.ru_stime
            self.max_rss_kib = max(self.max_rss_kib, usage.ru_maxrss)
            if pid == self.outer:
                self.fence_is_gone()
            elif pid == self.main and not self.outer:
                self.ends(status)

    def fence_is_gone(self) -> None:
        """With it all that was inside. What was told before counts; who can tell nothing was killed with the rest."""
        while self.status is None and select.select([self.told], [], [], 0)[0] and self.hear_more():
            pass
        if self.status is None:
            self.ends(int(signal.SIGKILL))

    # who they are

    def targets(self) -> "List[Process]":
        """Our unreaped children, or those of the first process in a fence; without a subreaper also all that the token
        or the session shows."""
        if self.nest:
            return living_children(self.nest.pid)
        found = {one.pid: one for one in map(process, children()) if one and not one.zombie}
        return list(self.with_members(found).values())

    def whole_tree(self) -> "Dict[int, Process]":
        found = self.with_members(tree())
        for pid in (self.outer, self.nest.pid if self.nest else 0):
            found.pop(pid, None)
        return found

    def with_members(self, found: "Dict[int, Process]") -> "Dict[int, Process]":
        if not self.subreaper:
            first = self.started
            found.update(members(self.token, self.since, first.get("sid"), first.get("start_ticks", 0)))
        return found

    # signals

    def fell_all(self) -> "Dict[Tuple[int, int], Process]":
        # spared: of its group is a training that has only just been forked
        felled = fell(self.whole_tree, spared=self.outer, rounds=NEST_ROUNDS if self.nest else 1000)
        if self.nest:
            strike(self.nest, signal.SIGKILL)  # and the kernel ends whoever is left inside
        return felled

    def signal_group(self, number: int) -> None:
        """The main process is not reaped yet, so neither its pid nor its group can belong to anybody else. In a fence
        somebody else reaps it: there a handle says who it is, and SIGKILL comes to all by way of the outer side."""
        if self.nest:
            return self.signal_one(self.outer, number) if number == signal.SIGKILL else self.signal_main(number)
        try:
            os.killpg(self.main, number)
        except OSError:  # it has not made its group yet
            self.signal_one(self.main, number)

    def signal_main(self, number: int) -> None:
        try:
            if self.main_fd >= 0:
                getattr(signal, "pidfd_send_signal")(self.main_fd, number)
            elif self.status is None:
                os.kill(self.main, number)
        except OSError as error:
            note_once("%d cannot be signalled: %s" % (self.main, error.strerror))

    def companions(self) -> "List[Process]":
        """The rest of the main process's group, in a fence; outside of one the kernel signals a group as a whole."""
        if not self.nest:
            return []
        table = all_processes()
        roots = {one.pid: one for one in table.values() if one.ppid == self.nest.pid}
        found = with_offspring(roots, list(table.values())).values()
        return [one for one in found if one.group == self.main and one.pid != self.main]

    def send(self, target: Process, number: int) -> None:
        if self.subreaper and not self.nest:
            self.signal_one(target.pid, number)  # an unreaped child: the pid is its own
        else:
            strike(target, number)

    def signal_one(self, pid: int, number: int) -> None:
        """A process of another user (``sudo``) may refuse. Then it ends when it likes, and we are still here to see it."""
        try:
            os.kill(pid, number)
        except OSError as error:
            note_once("%d cannot be signalled: %s" % (pid, error.strerror))

    def remain(self) -> bool:
        self.reap()
        if self.subreaper or not self.childless:
            return not self.childless
        try:
            return bool(self.targets())
        except OSError:  # nobody can say that they are gone
            return True


class Supervisor(Tree):
    """One attempt, from its claim to its exit.json. Its current folder is the attempt's."""

    def __init__(self, folder: bytes, spec: "Json", guarded: bool) -> None:
        self.guard = process(os.getppid()) if guarded else None
        self.grace = float(spec["grace_s"])
        self.claimed = {}  # type: Json
        self.memory = memory_events()
        self.stopped = self.late_stop = None  # type: Optional[str]
        self.timed_out = False
        self.unasked = False  # a stop could not yet see whom to ask beside the training's group
        self.term_at = self.kill_at = float("inf")  # monotonic: when SIGTERM and SIGKILL are due
        self.struck = set()  # type: Set[Tuple[int, int]]  # (pid, ticks) of what we signalled after the main one's end
        self.half = b""  # a command that has not ended yet
        # `alive` is opened before the claim is made: a claim whose FIFO nobody holds is a dead one.
        self.alive = os.open(b"alive", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        Tree.__init__(self, spec, shown(folder))
        self.poll.register(self.alive, select.POLLIN)
        self.on[self.alive] = self.read_commands

    # taking and starting

    def claim(self) -> bool:
        claim = new_claim(self.spec["attempt"], self.spec["hash"], self.token)
        claim["guard"] = {"pid": self.guard.pid, "start_ticks": self.guard.ticks} if self.guard else None
        if put(b".", b"claim", claim):
            self.claimed = claim
            self.since = claim["start_ticks"]
        return bool(self.claimed)

    def run(self, env: "Dict[str, str]") -> None:
        self.subreaper = become_subreaper()
        if not self.start(env):
            return
        env.clear()
        self.watch_training()
        self.end_leftovers()
        self.write_exit()

    def start(self, env: "Dict[str, str]") -> bool:
        """False: there is no log to write to, or started.json could not be written, and nothing has run."""
        try:
            log = insist(open_log)
        except OSError as error:
            note("nothing was started: train.log: %s" % error)
            return False
        release = self.spawn(env, log)
        try:
            return self.open_gate(release)
        finally:
            os.close(release)

    def open_gate(self, release: int) -> bool:
        child = insist(lambda: process(self.main))
        ticks = child.ticks if child else 0
        self.started = {"pid": self.main, "start_ticks": ticks, "sid": self.main, "at": time.time()}
        try:
            if not put(b".", b"started.json", self.started):
                raise OSError(errno.EEXIST, "started.json is there already, and not from us")
        except OSError as error:
            note("nothing was started: %s" % error)
            self.take_back_start()
            return False
        self.born = time.monotonic()
        try:
            os.write(release, b"1")
        except BrokenPipeError:  # somebody has killed it at the gate; the wait status will say so
            pass
        return True

    def take_back_start(self) -> None:
        """The record may be in its place although syncing it has failed: it would tell of a start that never came."""
        kept = read_record(b".", b"started.json")
        if kept and kept.get("pid") == self.started["pid"] and kept.get("at") == self.started["at"]:
            remove(b"started.json")

    # one wait for everything

    def read_commands(self) -> None:
        try:
            self.half += os.read(self.alive, 1 << 16)
        except BlockingIOError:  # somebody else read it
            return
        lines = self.half.split(b"\n")
        self.half = lines.pop()[-4096:]
        for line in lines:
            self.obey(line)

    def obey(self, line: bytes) -> None:
        """``stop REASON``, or ``stop@SECONDS REASON`` for another grace."""
        word, _, reason = line.partition(b" ")
        name, _, grace = word.partition(b"@")
        if name != b"stop":
            return note("unknown command %r" % line[:80])
        try:
            seconds = max(0.0, float(grace)) if grace else self.grace
        except ValueError:
            seconds = self.grace
        return self.stop(reason.decode("utf-8", "replace") or "stop", seconds)

    def read_signals(self) -> None:
        for number in os.read(self.signals, 4096):
            if number != signal.SIGCHLD:
                self.stop("shim got " + signal.Signals(number).name, self.grace)

    # while the main process lives

    def watch_training(self) -> None:
        limit = self.spec.get("wall_limit_s")
        limit = float("inf") if limit is None else float(limit)
        wall_end = self.born + limit
        pause = QUICK
        while self.status is None:
            now = time.monotonic()
            if now >= wall_end and self.stopped is None:
                self.timed_out = True
                self.stop("wall limit of %g s" % limit, self.grace)
            elif now >= self.kill_at:
                if not manage(self.fell_all):
                    self.signal_group(signal.SIGKILL)  # this needs nothing; the rest falls when it can be seen
                self.wait(now + pause)
                pause = min(pause * 2, SLOW)
            elif self.unasked:
                self.wait(min(self.kill_at, now + SETTLE))
                self.unasked = not manage(self.ask_others)
            else:
                self.wait(min(self.kill_at, wall_end if self.stopped is None else float("inf")))
        self.timed_out = self.timed_out and self.stopped is not None

    def stop(self, reason: str, grace: float) -> None:
        """An end that is already there wins: the code is the training's own."""
        self.reap()
        now = time.monotonic()
        self.kill_at = min(self.kill_at, now + grace)
        if self.status is not None:
            self.late_stop = self.late_stop or reason
            self.term_at = min(self.term_at, now)
        elif self.stopped is None:
            self.stopped = reason
            self.terminate()

    def terminate(self) -> None:
        """SIGTERM, once per process: some programs take a second one for impatience."""
        self.signal_group(signal.SIGTERM)
        self.signal_group(signal.SIGCONT)  # a stopped process cannot end
        self.unasked = not manage(self.ask_others)

    def ask_others(self) -> None:
        for one in self.companions():
            strike(one, signal.SIGTERM)
            strike(one, signal.SIGCONT)
        for one in self.targets():
            if one.pid != self.main and one.group != self.main:
                self.send(one, signal.SIGTERM)

    # after it

    def end_leftovers(self) -> None:
        """What outlives the main process gets a moment, then SIGTERM, then SIGKILL, until nothing is left."""
        patience = min(LEFTOVER_GRACE, self.grace)
        if self.kill_at > self.died:  # else a stop has already come to SIGKILL
            self.term_at = min(self.term_at, self.died + SETTLE)
            self.kill_at = min(self.kill_at + SETTLE, self.term_at + patience)
        complained, pause = False, QUICK
        while self.remain():
            now = time.monotonic()
            if now < min(self.term_at, self.kill_at):
                self.wait(min(self.term_at, self.kill_at))
                continue
            manage(self.end_politely if now < self.kill_at else self.end_by_force)
            self.wait(now + pause)
            pause = min(pause * 2, SLOW if now > self.kill_at + LEFTOVER_GRACE else SETTLE)
            if now > self.kill_at + 60 and not complained:
                complained = manage(self.complain)

    def complain(self) -> None:
        note("cannot be killed, still waiting: %s" % [one.pid for one in self.targets()])

    def end_by_force(self) -> None:
        self.struck.update(self.fell_all())

    def end_politely(self) -> None:
        """SIGTERM, once per process."""
        for one in self.targets():
            if (one.pid, one.ticks) not in self.struck:
                self.send(one, signal.SIGTERM)
            self.struck.add((one.pid, one.ticks))

    def write_exit(self) -> None:
        """Until it is on disk we stay, and read as running: that is true of what anybody may do with the attempt."""
        record, told = self.exit_record(), False
        while True:
            try:
                put(b".", b"exit.json", record, replace=True)
                return
            except OSError as error:
                if not told:
                    note("exit.json could not be written, trying again every second: %s" % error)
                told = True
                if folder_is_gone():  # nobody will ever read it
                    return
            time.sleep(1)

    def exit_record(self) -> "Json":
        status = self.status or 0
        word = read_all(self.word).decode("utf-8", "replace")  # the tree is gone, so nobody can hold its other end
        if has_nest(self.spec) and not self.nest:
            word = word or "the fence could not be put up: its own words are in the log"
        return {
            "format": FORMAT,
            "attempt": self.spec["attempt"],
            "spec_hash": self.spec["hash"],
            "claim_pid": self.claimed["pid"],
            "claim_start_ticks": self.claimed["start_ticks"],
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "oom": self.out_of_memory(),
            "timed_out": self.timed_out,
            "stopped": self.stopped,
            "late_stop": self.late_stop,
            "started_at": self.started["at"],
            "ended_at": self.ended_at,
            "duration_s": round(self.died - self.born, 6),
            "log_bytes": regular_size(b"train.log"),
            "leftovers": len(self.struck),
            "containment": "pid namespace" if self.nest else "subreaper" if self.subreaper else "sweep",
            "exec_error": word or None,
            "rusage": {"cpu_s": round(self.cpu_s, 6), "max_rss_kib": self.max_rss_kib},
        }

    def out_of_memory(self) -> "Optional[bool]":
        path, before = self.memory
        after = oom_kills(path)
        return None if before is None or after is None else after > before

    def abandon(self) -> None:
        """We cannot go on: leave nothing behind, and no exit.json, so that the attempt reads as lost."""
        self.kill_at = self.died = time.monotonic()
        if self.main or self.outer:
            self.end_leftovers()


def new_claim(attempt: "Optional[str]", spec_hash: "Optional[str]", token: str) -> "Json":
    return {
        "format": FORMAT,
        "attempt": attempt,
        "spec_hash": spec_hash,
        "token": token,
        "pid": os.getpid(),
        "start_ticks": own_ticks(),
        "boot_id": boot_id(),
        "hostname": os.uname().nodename,
        "pid_ns": pid_namespace(),
        "at": time.time(),
        "void": False,
    }


def listen_to_signals() -> int:
    """The read end of a pipe on which the number of every signal arrives that we care for. The shim ends with its tree,
    never by a signal that can be caught: without a record, a logout would look like a crash."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    return read


def note(text: str) -> None:
    try:
        write_all(2, ("%s %s\n" % (time.strftime("%Y-%m-%dT%H:%M:%S"), text)).encode("utf-8", "replace"))
    except OSError:  # a full disk must not end the supervision
        pass


def folder_is_gone() -> bool:
    """Has somebody removed the folder that we are in? One that cannot be looked at may come back, with its disk."""
    try:
        return os.stat(b".").st_nlink == 0
    except OSError:
        return False


def regular_size(path: bytes) -> int:
    try:
        found = os.lstat(path)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def memory_events() -> "Tuple[bytes, Optional[int]]":
    """Where our cgroup counts what the out-of-memory killer did, and the count now; (b"", None) when nobody counts."""
    for line in counted(b"/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(b":", 2)
        if controllers == b"memory":
            places = [b"/sys/fs/cgroup/memory%s/memory.oom_control" % path, b"/sys/fs/cgroup/memory/memory.oom_control"]
        elif not controllers:
            places = [b"/sys/fs/cgroup%s/memory.events" % path, b"/sys/fs/cgroup/memory.events"]
        else:
            continue
        for place in places:  # the second is where a container finds its own
            count = oom_kills(place)
            if count is not None:
                return place, count
    return b"", None


def counted(path: bytes) -> bytes:
    """For what is told and decides nothing: what cannot be read now is not known."""
    try:
        return read_small(path)
    except OSError:
        return b""


def oom_kills(path: bytes) -> "Optional[int]":
    for line in counted(path).splitlines():
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return None


# --- a command on a tether -------------------------------------------------------------------------------------------


class Tether(Tree):
    """One command of somebody who waits for it: its end, its limit, a line on stdin or the end of stdin ends the whole
    tree. A guard above does it in our place when we are killed."""

    def __init__(self, request: "Json", line: int) -> None:
        Tree.__init__(self, request, request["token"])
        self.since = own_ticks()
        self.kill_at = float("inf")
        self.timed_out = False
        self.line = line
        self.poll.register(line, select.POLLIN)
        self.on[line] = self.let_go

    def fell_all(self) -> "Dict[Tuple[int, int], Process]":
        """The kernel ends all that is inside a fence at once. It goes first: a bomb forks faster than anybody looks, and
        here nobody asks how many they were."""
        if self.nest:
            strike(self.nest, signal.SIGKILL)
        return Tree.fell_all(self)

    def let_go(self) -> None:
        """Whoever holds the other end has no more patience, or is gone."""
        self.poll.unregister(self.line)
        self.kill_at = 0.0

    def run(self) -> "Json":
        self.subreaper = become_subreaper()
        release = self.spawn(self.spec["env"], os.dup(1))
        child = process(self.main)
        self.started = {"sid": self.main, "start_ticks": child.ticks if child else 0}
        try:
            os.write(release, b"1")
        except BrokenPipeError:
            pass
        os.close(release)
        self.watch(time.monotonic() + float(self.spec["timeout_s"]))
        self.end_all()
        return self.result()

    def watch(self, limit: float) -> None:
        while self.status is None:
            now = time.monotonic()
            if now >= self.kill_at:
                manage(self.fell_all)
                self.wait(now + QUICK)
            elif now >= limit and not self.timed_out:
                self.timed_out, self.kill_at = True, now + TETHER_GRACE
                self.signal_group(signal.SIGTERM)
            else:
                self.wait(min(self.kill_at, float("inf") if self.timed_out else limit))

    def end_all(self) -> None:
        pause = QUICK
        while self.remain():
            manage(self.fell_all)
            self.wait(time.monotonic() + pause)
            pause = min(pause * 2, SLOW)

    def result(self) -> "Json":
        status = self.status or 0
        return {
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "timed_out": self.timed_out,
            "exec_error": read_all(self.word).decode("utf-8", "replace") or None,
        }


def tether() -> int:
    """The command's output is our stdout; stderr is for the answer."""
    request = b""
    while b"\n" not in request:
        piece = os.read(0, 1 << 16)
        if not piece:
            return 0  # gone before anything was asked for
        request += piece
    first, _, more = request.partition(b"\n")
    if more:
        return 0  # it was let go already
    line = os.dup(0)  # the command must not have it
    os.dup2(os.open(b"/dev/null", os.O_RDONLY | os.O_CLOEXEC), 0)
    become_guarded()
    write_all(2, encode(Tether(json.loads(first.decode("utf-8")), line).run()))
    return 0


# --- state, stop, sweep ----------------------------------------------------------------------------------------------


def state(folders: "List[bytes]") -> int:
    return answer({shown(folder): sight(folder) for folder in folders})


def stop(folder: bytes, reason: str, grace: "Optional[float]" = None) -> int:
    make_folder(folder)
    spec = read_record(folder, b"spec.json") or {}
    void = dict(new_claim(spec.get("attempt"), spec.get("hash"), shown(folder)), void=True, reason=reason)
    if read_record(folder, b"claim") is None and put(folder, b"claim", void):
        return answer({"stop": "void"})
    seen = sight(folder)
    if seen["state"] != "running":
        return answer({"stop": seen["state"], "hostname": seen.get("hostname")})
    return answer({"stop": "asked" if ask_to_stop(folder, seen["claim"], reason, grace) else "ended"})


def ask_to_stop(folder: bytes, claim: "Json", reason: str, grace: "Optional[float]") -> bool:
    pipe = open_alive(folder, claim)
    if pipe < 0:
        return False
    word = "stop" if grace is None else "stop@%g" % grace
    line = "%s %s" % (word, " ".join(reason.split()))
    try:
        os.write(pipe, line.encode("utf-8", "replace")[:2000] + b"\n")  # below PIPE_BUF: lines do not mix
    except BlockingIOError:  # full of earlier requests
        pass
    except BrokenPipeError:
        return False
    finally:
        os.close(pipe)
    return True


def sweep(folder: bytes) -> int:
    """``{"claim": ...}`` may come on stdin: who took the attempt, when its folder can no longer tell."""
    seen = sight(folder)
    if seen["state"] == "absent":
        return sweep_without_folder(json.loads(read_all(0).decode("utf-8") or "{}").get("claim"))
    if seen["state"] in ("running", "unreachable"):
        return answer({"error": "not_dead", "detail": "the attempt is %s: stop it instead" % seen["state"]}, 3)
    claim = read_record(folder, b"claim") or {}
    started = read_record(folder, b"started.json") or {}
    if claim.get("boot_id") != boot_id():  # a reboot has ended everything
        return answer({"killed": 0, "left": 0})
    wait_for_guard(claim)
    session = started.get("sid") if claim.get("pid_ns") == pid_namespace() else None
    return end_members(claim["token"], claim["start_ticks"], session, started.get("start_ticks", 0))


def wait_for_guard(claim: "Json") -> None:
    """It may be at work, on what no token shows."""
    told = claim.get("guard") or {}
    guard = process(int(told["pid"])) if told and claim.get("pid_ns") == pid_namespace() else None
    end = time.monotonic() + GUARD_PATIENCE
    while guard and guard.ticks == told["start_ticks"] and is_running(guard) and time.monotonic() < end:
        time.sleep(0.01)


def sweep_without_folder(claim: "Optional[Json]") -> int:
    """The folder was removed while the attempt ran: its supervisor, if it lives, ends the tree when it gets SIGTERM."""
    if not claim or claim.get("hostname") != os.uname().nodename or claim.get("boot_id") != boot_id():
        return answer({"killed": 0, "left": 0})
    supervisor = process(int(claim["pid"]))
    end = time.monotonic() + 45.0  # the grace of a training, and the time after it
    if supervisor and supervisor.ticks == claim["start_ticks"] and strike(supervisor, signal.SIGTERM):
        while time.monotonic() < end and is_running(supervisor):
            time.sleep(0.02)
    return end_members(claim["token"], claim["start_ticks"], None, 0)


def is_running(one: Process) -> bool:
    now = process(one.pid)
    return now is not None and not now.zombie and now.ticks == one.ticks


def end_members(token: str, since: int, session: "Optional[int]", leader_ticks: int) -> int:
    def find() -> "Dict[int, Process]":
        return members(token, since, session, leader_ticks)

    struck = set()  # type: Set[int]
    end = time.monotonic() + LEFTOVER_GRACE
    while True:
        found = find()
        if not found or time.monotonic() > end:
            return answer({"killed": len(struck - set(found)), "left": len(found)})
        struck.update(pid for pid, _ in fell(find))
        time.sleep(0.01)


# --- follow ----------------------------------------------------------------------------------------------------------


def emit(header: "Json", data: bytes = b"") -> None:
    """Blocking: a slow reader slows us down, and nothing else. A reader that is gone is our end."""
    try:
        write_all(1, encode(header) + data)
    except BrokenPipeError:
        os._exit(0)


class Followed:
    """One attempt that is followed: how far its log was read, and when to look again. An error of any method leaves it
    as it can be tried again."""

    def __init__(self, name: str, offset: int) -> None:
        self.name, self.folder = name, raw(name)
        self.log = at(self.folder, b"train.log")
        self.offset, self.inode = offset, -1
        self.limit = None  # type: Optional[int]  # once it is over: where the log ends for us
        self.claim = {}  # type: Json
        self.joined = self.began = False
        self.pause, self.due, self.doubt_at = LOOK, 0.0, 0.0
        self.heard = time.monotonic()
        self.trouble_at = float("inf")  # when the trouble that it is in will be told
        self.alive = -1

    def join(self) -> None:
        """Watch the shim; its death reaches us as POLLERR on the write end of ``alive``."""
        self.limit = None
        self.claim = read_record(self.folder, b"claim") or {}
        if sight(self.folder)["state"] == "running":
            self.alive = open_alive(self.folder, self.claim)
        if self.alive < 0:
            found = self.log_now()
            self.limit = found.st_size if found else 0  # processes that survived it may write for ever
        self.joined = True

    def part(self) -> None:
        """Its shim seems to be dead: look again, at once."""
        if self.alive >= 0:
            os.close(self.alive)
        self.alive, self.due, self.joined = -1, 0.0, False

    def turn(self, now: float) -> bool:
        """Say what is new. False: the end was told."""
        if not self.joined:
            self.join()
        self.look_for_start()
        count = self.copy_log()
        if count:
            self.heard = now
            self.pause = 0.0 if count == CHUNK or self.limit is not None else LOOK
        elif self.limit is not None:
            return not self.tell_end()
        else:
            self.pause = min(max(LOOK, PATIENCE * (now - self.heard)), SLOW)
            self.doubt(now)
        self.due = now + self.pause
        return True

    def doubt(self, now: float) -> None:
        """Now and then: is it still the shim that holds the FIFO, or a stranger who opened it?"""
        if now >= self.doubt_at:
            self.doubt_at = now + DOUBT
            if not is_claimant(self.claim):
                self.part()

    def look_for_start(self) -> None:
        if not self.began and self.claim and os.path.lexists(at(self.folder, b"started.json")):
            self.began = True
            emit({"dir": self.name, "began": running(self.folder, self.claim)})

    def tell_end(self) -> bool:
        seen = sight(self.folder)
        if seen["state"] == "running":
            self.part()
            return False
        emit({"dir": self.name, "end": seen})
        return True

    def log_now(self) -> "Optional[os.stat_result]":
        """None when there is none. Only a regular file is one: a FIFO or a link in its place is not the log."""
        try:
            found = os.lstat(self.log)
        except FileNotFoundError:
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def copy_log(self) -> int:
        """Pass on at most one piece."""
        found = self.log_now()
        if found is None or (found.st_ino, found.st_size) == (self.inode, self.offset):
            return 0
        fd = os.open(self.log, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return self.copy_piece(fd)
        finally:
            os.close(fd)

    def copy_piece(self, fd: int) -> int:
        found = os.fstat(fd)
        if found.st_size < self.offset or self.inode not in (-1, found.st_ino):  # truncated or replaced
            self.offset = 0
        self.inode = found.st_ino
        end = found.st_size if self.limit is None else min(found.st_size, self.limit)
        data = os.pread(fd, max(0, min(CHUNK, end - self.offset)), self.offset)
        if data:
            emit({"dir": self.name, "log": self.offset, "n": len(data)}, data)
            self.offset += len(data)
        return len(data)


class Follower:
    def __init__(self) -> None:
        self.poll = select.poll()
        self.poll.register(0, select.POLLIN)
        self.followed = {}  # type: Dict[str, Followed]
        self.rest = b""

    def run(self) -> int:
        while True:
            now = time.monotonic()
            due = min([one.due for one in self.followed.values()] or [now + 3600])
            for fd, _ in self.poll.poll(max(0.0, (due - now) * 1000)):
                if fd == 0 and not self.read_requests():
                    return 0
                self.note_death(fd)
            now = time.monotonic()
            for one in [one for one in self.followed.values() if one.due <= now]:
                self.give_turn(one, now)

    def read_requests(self) -> bool:
        data = os.read(0, 1 << 16)
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            request = json.loads(line.decode("utf-8"))
            self.add(Followed(request["dir"], int(request.get("offset", 0))))
        return bool(data)

    def add(self, one: Followed) -> None:
        self.drop(self.followed.get(one.name))
        self.followed[one.name] = one

    def watch(self, one: Followed) -> None:
        if one.alive >= 0:
            self.poll.register(one.alive, 0)  # POLLERR needs no asking

    def drop(self, one: "Optional[Followed]") -> None:
        if one and one.alive >= 0:
            self.poll.unregister(one.alive)
            os.close(one.alive)
        if one:
            del self.followed[one.name]

    def note_death(self, fd: int) -> None:
        for one in self.followed.values():
            if one.alive == fd:
                self.poll.unregister(fd)
                one.part()

    def give_turn(self, one: Followed, now: float) -> None:
        before = one.alive
        try:
            goes_on = one.turn(now)
            one.trouble_at = float("inf")
        except OSError as error:  # no descriptor, a stale handle: others go on, this one is tried again
            goes_on, one.due = True, now + SLOW
            one.trouble_at = min(one.trouble_at, now + TROUBLE)
            if now >= one.trouble_at:
                emit({"dir": one.name, "trouble": str(error)})
                one.trouble_at = now + TROUBLE
        if one.alive != before:
            if before >= 0:
                self.poll.unregister(before)
            self.watch(one)
        if not goes_on:
            self.drop(one)


# --- the command line ------------------------------------------------------------------------------------------------


def main(argv: "List[str]") -> int:
    verb, rest = (argv[0] if argv else ""), [os.fsencode(word) for word in argv[1:]]
    folders = [os.path.abspath(word) for word in rest]
    try:
        if verb == "ensure" and len(rest) == 1:
            return ensure(folders[0])
        if verb == "state":
            return state(folders)
        if verb == "stop" and len(rest) in (2, 3):
            return stop(folders[0], shown(rest[1]), float(rest[2]) if rest[2:] else None)
        if verb == "sweep" and len(rest) == 1:
            return sweep(folders[0])
        if verb == "follow" and not rest:
            return Follower().run()
        if verb == "tether" and not rest:
            return tether()
        if verb == "inner" and len(rest) > 4:
            return inner(rest)
    except Exception as error:
        return answer({"error": "failed", "detail": "%s: %s" % (type(error).__name__, error)}, 4)
    write_all(2, (__doc__ or "").encode())
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
