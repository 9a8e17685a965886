"""Text from a policy, a console or a stranger's log, made safe to put on a terminal.

A completion may contain any byte sequence, also one that moves the cursor, sets the window's title or
answers a query as if it had been typed. Cleaning happens once, where text enters; afterwards it is trusted.
"""

from __future__ import annotations

import re
from typing import Any

# CSI and OSC sequences first, so that their printable parameters go with them; then every other control
# character (C0, DEL, C1), the bidirectional marks and overrides that can reorder a line, what is invisible on purpose,
# and lone surrogates. A string sequence that never ends takes its own line with it and no more.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\n]*?(?:\x07|\x1b\\|\x9c|(?=\n)|\Z)"
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def clean(text: str, *, limit: int = 1 << 20) -> str:
    """`text` without escape sequences and control characters; newlines and tabs stay.

    Control characters become U+FFFD, so that their presence can be seen. At most `limit` characters are kept.
    """
    if len(text) > limit:
        text = text[:limit]
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub("\ufffd", _ESCAPES.sub("\ufffd", text))


def clean_line(text: str, *, limit: int = 4096) -> str:
    """`text` as one line: cleaned, with newlines shown as a return sign and tabs as one space."""
    return clean(text, limit=limit).replace("\n", "\u23ce").replace("\t", " ")


def clean_tree(value: Any) -> Any:
    """A JSON value with every text in it cleaned; keys become one line each."""
    match value:
        case str():
            return clean(value)
        case list():
            return [clean_tree(item) for item in value]
        case dict():
            return {clean_line(key): clean_tree(item) for key, item in value.items()}
    return value


def is_plain(raw: bytes) -> bool:
    """Whether JSON text surely holds nothing to clean; quick, because it is asked of every piece of a journal."""
    if b"\\" in raw:
        return False
    if raw.isascii():
        return b"\x7f" not in raw
    return _CONTROLS.search(raw.decode("utf-8", "replace")) is None


def console_lines(raw: bytes) -> list[str]:
    """Lines of a console log as a terminal would have left them.

    A progress bar rewrites its line after a carriage return; only the last state of each line is kept.
    """
    lines = raw.decode("utf-8", "replace").split("\n")
    return [clean_line(line.rstrip("\r").rsplit("\r", 1)[-1]) for line in lines]
