"""Whether the terminal is light or dark, for a person who leaves the theme to it."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Mapping

PATIENCE = 1.0
"""Seconds to wait for an answer; a terminal that has none answers the question after it at once."""

_QUESTION = b"\x1b]11;?\x1b\\\x1b[c"
"""OSC 11 asks for the background, and DA1, which every terminal answers, tells that no more will come."""
_ANSWER = re.compile(rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")
_END = re.compile(rb"\x1b\[\?[0-9;]*c")


def theme(wanted: str) -> str:
    """`dark` or `light`; for `auto`, what the terminal is, and dark where it does not say."""
    if wanted != "auto":
        return wanted
    light = by_environment(os.environ)
    if light is None and sys.stdin.isatty() and sys.stdout.isatty():
        light = is_light(_asked(sys.stdin.fileno(), sys.stdout.fileno()))
    return "light" if light else "dark"


def by_environment(environment: Mapping[str, str]) -> bool | None:
    """What COLORFGBG says: foreground and background as numbers of the sixteen colours."""
    ground = environment.get("COLORFGBG", "").rpartition(";")[2]
    return int(ground) in (7, *range(9, 16)) if re.fullmatch("[0-9]|1[0-5]", ground) else None


def is_light(answer: bytes) -> bool | None:
    """What an answer to OSC 11 means: light when its relative luminance is nearer to white than to black."""
    found = _ANSWER.search(answer)
    if found is None:
        return None
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in found.groups())
    # Weights of Rec. 709; a square is near enough to the curve of sRGB to tell light from dark.
    return bool(0.2126 * red**2 + 0.7152 * green**2 + 0.0722 * blue**2 > 0.18)


def _asked(stdin: int, stdout: int) -> bytes:
    """What the terminal answers."""
    before = termios.tcgetattr(stdin)
    answer = b""
    try:
        tty.setcbreak(stdin, termios.TCSANOW)
        os.write(stdout, _QUESTION)
        deadline = time.monotonic() + PATIENCE
        while not _END.search(answer) and (left := deadline - time.monotonic()) > 0:
            if select.select([stdin], [], [], left)[0]:
                answer += os.read(stdin, 4096)
    finally:
        termios.tcsetattr(stdin, termios.TCSANOW, before)
    return answer
