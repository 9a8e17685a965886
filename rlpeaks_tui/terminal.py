"""Which signs the terminal can show, and what stands for those that it cannot.

Python cannot be asked: started in the locale C it takes itself to UTF-8 (PEP 538, PEP 540), whatever the terminal
shows. So the locale is read where the person set it.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

SIGNS = "⣿█→"
"""Of each kind that is drawn with: a terminal that has these has the rest."""

ASCII = dict(zip("…−·─╌┆│┃●◆○•▸▏⏎←↑↓‖▲▼░▒▓█━◇", "~-.--:||o*oo>|/<^v=^v.:+#=*", strict=True)) | {
    "±": "+-",
    "→": "->",
}
"""What stands for a sign where there are none but those of ASCII."""

HANDLER = "rlpeaks.ascii"


def only_ascii(environment: Mapping[str, str] | None = None, encodings: Iterable[str] | None = None) -> bool:
    """Whether to write no sign beyond ASCII. RLPEAKS_ASCII has the first word, then what the terminal is known to be.

    Args:
        environment: variables; None for those that this process was started with.
        encodings: of the streams that are written to; None for those of this process.
    """
    environment = _started_with() if environment is None else environment
    if said := environment.get("RLPEAKS_ASCII", ""):
        return said != "0"
    # A console of the Linux kernel has no braille in its fonts.
    if environment.get("TERM") == "linux":
        return True
    if encodings is None:
        encodings = [stream.encoding for stream in (sys.__stdout__, sys.__stderr__) if stream is not None]
    locale = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := environment.get(name, ""))), "")
    if locale.partition(".")[0] in ("C", "POSIX") and "." not in locale:
        return True
    charset = locale.partition(".")[2].partition("@")[0]
    return not all(_shows(encoding) for encoding in (*encodings, *([charset] if charset else [])))


def _shows(encoding: str) -> bool:
    try:
        SIGNS.encode(encoding)
    except UnicodeEncodeError:
        return False
    except LookupError:
        # A charset that Python does not know says nothing.
        pass
    return True


def _started_with() -> dict[str, str]:
    """The environment, without the LC_CTYPE that Python gives itself in the locale C."""
    found = dict(os.environ)
    try:
        with open("/proc/self/environ", "rb") as file:
            given = file.read().split(b"\0")
    except OSError:
        return found
    if not any(line.startswith(b"LC_CTYPE=") for line in given):
        found.pop("LC_CTYPE", None)
    return found


def suit(stream: TextIO | None) -> None:
    """Let what is printed to a terminal that shows ASCII only be ASCII; elsewhere a text that the encoding lacks is no
    reason to fail either."""
    if not isinstance(stream, io.TextIOWrapper):
        return
    if stream.isatty() and only_ascii():
        codecs.register_error(HANDLER, _instead)
        stream.reconfigure(encoding="ascii", errors=HANDLER)
    else:
        stream.reconfigure(errors="replace")


def _instead(problem: UnicodeError) -> tuple[str, int]:
    assert isinstance(problem, UnicodeEncodeError)
    missing = problem.object[problem.start : problem.end]
    return "".join(ASCII.get(sign, "?") for sign in missing), problem.end
