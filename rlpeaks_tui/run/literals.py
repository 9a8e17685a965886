"""What a text must hold to match a regular expression, so that a filter of texts can pass over those that cannot.

Only what surely follows is kept: anything in an expression that is not understood here asks for nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from msgspec import Struct

from .text_filter import GRAM

Parsed = Iterable[tuple[object, Any]]


class AllOf(Struct, frozen=True):
    """Every part must be met; without parts, anything goes."""

    parts: tuple[Need, ...] = ()


class OneOf(Struct, frozen=True):
    """One of the parts must be met."""

    parts: tuple[Need, ...]


Need = str | AllOf | OneOf
"""A text that must occur, whatever its case, or several such needs."""

ANYTHING = AllOf()


@contextmanager
def _unwarned() -> Iterator[None]:
    """What Python may read otherwise one day, such as `[[a`, concerns nobody who looks for text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """The pattern, ready to use.

    Raises:
        ValueError: it is no regular expression; says what is wrong with it and where.
    """
    try:
        with _unwarned():
            return re.compile(pattern, flags)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        raise ValueError(f"the regular expression {pattern!r} cannot be read: {error.msg}{where}") from None
    except (RecursionError, OverflowError):
        raise ValueError("the regular expression is nested too deeply or counts too high") from None


def needs(pattern: re.Pattern[str]) -> Need:
    """What surely occurs in every text that `pattern` is found in; ANYTHING when nothing of three characters does."""
    try:
        return _sequence(_parsed(pattern), bool(pattern.flags & re.IGNORECASE))
    except (RecursionError, TypeError, ValueError, AttributeError):
        return ANYTHING


def _parsed(pattern: re.Pattern[str]) -> Any:
    with _unwarned():
        return _parser.parse(pattern.pattern, pattern.flags)


def _sequence(parsed: Parsed, any_case: bool) -> Need:
    parts: list[Need] = []
    run: list[str] = []
    for op, value in [*parsed, (None, None)]:
        # Without regard to case a character outside ASCII can stand for several that fold differently.
        if op is _constants.LITERAL and (value < 128 or not any_case):
            run.append(chr(value))
            continue
        if len(run) >= GRAM:
            parts.append("".join(run))
        run.clear()
        inner = _INSIDE.get(op)
        if inner is not None and (need := inner(value, any_case)) != ANYTHING:
            parts.append(need)
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _group(value: Sequence[Any], any_case: bool) -> Need:
    _, added, removed, inside = value
    # What one group turns off and another on is not worth telling apart.
    return _sequence(inside, any_case or bool(added & re.IGNORECASE) or bool(removed & re.IGNORECASE))


def _repeat(value: Sequence[Any], any_case: bool) -> Need:
    least, _, inside = value
    return _sequence(inside, any_case) if least else ANYTHING


def _branch(value: Sequence[Any], any_case: bool) -> Need:
    parts = tuple(_sequence(one, any_case) for one in value[1])
    return ANYTHING if ANYTHING in parts else OneOf(parts)


def _ahead(value: Sequence[Any], any_case: bool) -> Need:
    return _sequence(value[1], any_case)


_INSIDE: dict[object, Callable[[Any, bool], Need]] = {
    _constants.SUBPATTERN: _group,
    _constants.MAX_REPEAT: _repeat,
    _constants.MIN_REPEAT: _repeat,
    _constants.POSSESSIVE_REPEAT: _repeat,
    _constants.ATOMIC_GROUP: _sequence,
    _constants.BRANCH: _branch,
    _constants.ASSERT: _ahead,
}


def explodes(pattern: re.Pattern[str]) -> bool:
    """Whether a choice stands within a repeat, as in (a+)+, (a|a)* or (a?){30}, so that it can take for ever.

    Every turn of the repeat multiplies the ways to match. Repeats side by side are not looked at: they grow as a power
    of the text's length, not exponentially.
    """
    try:
        return _nested(_parsed(pattern), False)
    except (RecursionError, TypeError, ValueError, AttributeError):
        return True


def _nested(parsed: Any, within: bool) -> bool:
    if isinstance(parsed, _parser.SubPattern | list):
        return any(_nested(part, within) for part in parsed)
    if not isinstance(parsed, tuple):
        return False
    repeats = chooses = False
    if len(parsed) == 2 and any(parsed[0] is op for op in _BACKTRACKING):
        least, most, _ = parsed[1]
        repeats, chooses = most > 1, most != least
    elif len(parsed) == 2:
        chooses = parsed[0] is _constants.BRANCH
    return (chooses and within) or any(_nested(part, within or repeats) for part in parsed)


_BACKTRACKING = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
