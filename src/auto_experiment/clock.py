"""Wall time for display: UTC, ISO 8601. Durations are measured with the monotonic clock, never with this.

Within one process these times follow the clock of the boot from their first use on: what a controller stores never runs
backwards or leaps, whatever somebody sets the machine's clock to meanwhile.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone

_ANCHOR = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
_FIRST, _LAST = -62135596800.0, 253402300799.0  # the years 1 to 9999: all that can be shown


def unix() -> float:
    """The Unix time as this process counts it."""
    return _ANCHOR + time.clock_gettime(time.CLOCK_BOOTTIME)


def since_boot() -> float:
    """Seconds since the machine was started, its sleep included; no setting of a clock changes it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Of this start of the machine; "" where the kernel does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def now() -> str:
    """ "2026-11-23T07:05:09.123Z"."""
    return iso(unix())


def iso(seconds: float | None) -> str:
    """A Unix time as text; "" for None."""
    if seconds is None:
        return ""
    seconds = min(max(seconds, _FIRST), _LAST)
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text: str | None) -> float | None:
    """The Unix time of such a text."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else None


def local(text: str) -> datetime:
    """Such a text in the machine's own time zone."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()


def human(duration: float | None) -> str:
    """3.2 -> "3.2s", 75 -> "1m15s", 4000 -> "1h06m"."""
    if duration is None:
        return "-"
    if duration < 60:
        return f"{duration:.1f}s"
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def later(duration: float) -> str:
    """The time ``duration`` seconds from now, as text."""
    return iso(unix() + duration)
