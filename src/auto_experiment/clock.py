"""Wall time for display: UTC, ISO 8601. Durations are measured with the monotonic clock, never with this."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """ "2026-11-23T07:05:09.123Z"."""
    return iso(datetime.now(timezone.utc).timestamp())


def iso(seconds: float | None) -> str:
    """A Unix time as text; "" for None."""
    if seconds is None:
        return ""
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
    return iso(datetime.now(timezone.utc).timestamp() + duration)
