"""Numbers, times and what became of a command as short text."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence

from rlpeaks_tui.run.marks import CommandMark

from .axes import compact

PAPER = re.compile(r"(?<![\w.:/])(\d{4}\.\d{5})(?![\w.]*\d)")


def number(value: float | None) -> str:
    """About three significant digits, at most seven characters: 0.861, 12.4, 1,240, 3.1e-05."""
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if size == 0:
        return "0.000"
    if size < 0.001:
        text = f"{value:.1e}"
    elif size < 0.01:
        text = f"{value:.4f}"
    elif size < 1:
        text = f"{value:.3f}"
    elif size < 10:
        text = f"{value:.2f}"
    elif size < 100:
        text = f"{value:.1f}"
    elif size < 100_000:
        text = f"{value:,.0f}"
    else:
        text = compact(value)
    return text.replace("-", "−") if value < 0 and size >= 0.001 else text


def signed(value: float | None, decimals: int | None = None) -> str:
    """A number that always carries its sign, with as many decimals where that is asked for."""
    if value is None or not math.isfinite(value):
        return "-"
    text = number(abs(value)) if decimals is None else f"{abs(value):.{decimals}f}"
    return f"−{text}" if value < 0 else f"+{text}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as whole percent, with < 1 and > 99 where rounding would claim nothing or everything."""
    if share is None or not math.isfinite(share):
        return "- %"
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 < share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def percents(shares: Sequence[float | None]) -> list[str]:
    """Shares of one whole as whole percent that add up to 100: the largest remainders are rounded up.

    "<1 %" counts as none, and "-" is what is not known.
    """
    whole = sum(share for share in shares if share is not None and math.isfinite(share)) or 1.0
    exact = [100 * share / whole if share is not None and math.isfinite(share) else 0.0 for share in shares]
    counts = [math.floor(each) for each in exact]
    # What rounds to nothing stays "<1 %" as long as others can take what is left.
    order = sorted(range(len(exact)), key=lambda i: (exact[i] < 0.5, counts[i] - exact[i], -exact[i]))
    for i in order[: 100 - sum(counts) if any(exact) else 0]:
        counts[i] += 1
    return [
        "-" if share is None or not math.isfinite(share) else "<1 %" if each > 0 and not count else f"{count} %"
        for share, each, count in zip(shares, exact, counts, strict=True)
    ]


def clock(t: float, form: str = "%H:%M:%S") -> str:
    """A time in seconds since 1970 as a clock here shows it; "unknown" for what no clock can show."""
    try:
        return time.strftime(form, time.localtime(t))
    except (OverflowError, ValueError, OSError):
        return "unknown"


def duration(seconds: float | None) -> str:
    """Two units at most: 48s, 1m 14s, 3h 20m, 2d 4h."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def ago(seconds: float) -> str:
    """How long something is past, in whole minutes, hours or days: in seconds it would be another with every look."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def plural(count: int, noun: str) -> str:
    """1 check, 2 checks, 1,173 checks."""
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"


def cited(text: str) -> str:
    """Papers by their whole name: the bare number of one could be any number."""
    return PAPER.sub(r"arXiv:\1", text)


def size(count: int) -> str:
    """Bytes: 812 kB, 7.8 MB, 1.2 GB."""
    scaled, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if scaled < 1000:
            break
        scaled, unit = scaled / 1000, larger
    return f"{scaled:.0f} {unit}" if scaled >= 10 or unit == "B" else f"{scaled:.1f} {unit}"


def asked(command: CommandMark) -> str:
    """A command as it is typed, without the word that says it is meant."""
    return " ".join((command.verb, *(word for word in command.args if word != "--yes")))


def outcome(command: CommandMark) -> str:
    """The values that a command changed, or why it did not."""
    if command.why and command.status != "applied":
        return command.why
    if command.verb == "note":
        return ""
    changes = []
    for name, after in command.after.items():
        before = command.before.get(name)
        if before != after:
            if name == "bytes" and isinstance(after, int):
                changes.append(size(after))
                continue
            known = name in command.before
            changes.append(f"{name} {setting(before)} → {setting(after)}" if known else f"{name} {setting(after)}")
    return ", ".join(changes) or command.why


def setting(value: float | int | str | bool | None) -> str:
    """A value in force."""
    if isinstance(value, float):
        # A count that came as a float is one all the same.
        return f"{value:,.0f}" if value.is_integer() and 10 <= abs(value) < 100_000 else number(value)
    return "none" if value is None else str(value)
