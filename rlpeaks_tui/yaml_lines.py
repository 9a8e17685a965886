"""YAML as plain values, with the line of each: the little of YAML that the files need which people write.

PyYAML finds the structure; the values are made here. YAML 1.1 would read `1e-3` as text and `no` as false, take
the last of two equal keys in silence, and let a few lines of aliases stand for more values than a machine can
hold.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

MOST_VALUES = 10_000
DEEPEST = 20

_WHOLE = re.compile(r"[-+]?[0-9][0-9_]{0,300}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_BEYOND = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_OWN_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


class Unreadable(Exception):
    """No YAML, or more of it than is understood here; the message is one line, `line` is where (None: unknown)."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


def read(text: str) -> tuple[Any, dict[str, int]]:
    """The values of `text`, and the line of each key and list entry by its dotted path, such as phases.0.name.

    Raises:
        Unreadable: with the line and what is wrong there.
    """
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(f"character U+{error.character:04X} cannot be in YAML", line) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Unreadable(getattr(error, "problem", None) or "no YAML", mark.line + 1 if mark else None) from None
    except RecursionError:
        raise Unreadable("nested too deeply", None) from None
    lines: dict[str, int] = {}
    seen = 0

    def value(node: Any, path: str, depth: int) -> Any:
        nonlocal seen
        seen += 1
        line = node.start_mark.line + 1
        if seen > MOST_VALUES:
            raise Unreadable(f"more than {MOST_VALUES} values, counting each use of an alias", line)
        if depth > DEEPEST:
            raise Unreadable("nested too deeply", line)
        if node.tag not in _OWN_TAGS:
            raise Unreadable(f"tags such as {node.tag.replace('tag:yaml.org,2002:', '!!')!r} are not understood", line)
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.style else _plain(node.value)
        found: dict[str, Any] = {}
        entries: list[Any] = []
        if isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                lines[f"{path}{i}"] = item.start_mark.line + 1
                entries.append(value(item, f"{path}{i}.", depth + 1))
            return entries
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable("a key is one word or number", line)
            if key.value in found:
                raise Unreadable(f"{path}{key.value} is there already, in line {lines[path + key.value]}", line)
            lines[path + key.value] = line
            found[key.value] = value(item, f"{path}{key.value}.", depth + 1)
        return found

    return (None if node is None else value(node, "", 0)), lines


def _plain(text: str) -> Any:
    """An unquoted word as YAML 1.2 reads it."""
    word = text.lower()
    if word in _WORDS:
        return _WORDS[word]
    if word in _BEYOND:
        return float(_BEYOND[word])
    if _WHOLE.fullmatch(text):
        return int(text.replace("_", ""))
    if _NUMBER.fullmatch(text):
        return float(text.replace("_", ""))
    return text


def as_written(value: Any) -> str:
    """A value as the file has it, short and in one line."""
    match value:
        case dict():
            return "a section"
        case list():
            return "a list"
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
    return re.sub(r"\s+", " ", repr(value))[:60]


def nearest(word: str, valid: Sequence[str]) -> str:
    """The word that was most likely meant, as the end of a sentence; empty when none is near."""
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
