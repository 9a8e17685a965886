"""One typed line that says which completions are wanted: words with a colon filter, the rest is text to look for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from rlpeaks_tui.run.literals import compiled, explodes
from rlpeaks_tui.run.search import Range, Wanted
from rlpeaks_tui.run.text import clean_line

_WORD = re.compile(
    r"""(?P<key>[A-Za-z]+):(?P<value>"[^"]*"?|\S*)   # a filter, whose value may be quoted
      | /(?P<regex>(?:\\.|[^/\\])+)/(?=\s|$)         # a regular expression between slashes
      | "(?P<quoted>[^"]*)"?                         # text as it stands
      | (?P<text>\S+)""",
    re.VERBOSE,
)
_NUMBER = r"[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SPAN = re.compile(rf"(?P<sign>[<>]=?)(?P<bound>{_NUMBER})|(?P<low>{_NUMBER})?(?P<to>\.\.<?|-)?(?P<high>{_NUMBER})?")

GRAMMAR = (
    "task:NAME  format:NAME  step:100-200  group:3  correct:no  cut:yes  tokens:yes",
    "reward:>0.5  adv:<0  conf:0.9-1  length:>200  /regular expression/  any text",
    'judged:yes  generation:57-72  prompt:"the whole prompt"',
    "a filter has a colon; searched as you type; enter keeps it, esc undoes it",
)
"""The grammar in lines that fit a small screen, for the person who types."""


class Mistake(ValueError):
    """The line says something that cannot be; the message says what would be right."""


def parse(line: str) -> Wanted:
    """What a line asks for.

    Raises:
        Mistake: it is no such line.
    """
    wanted, words = Wanted(), []
    given: set[str] = set()
    for found in _WORD.finditer(line):
        key, value = found["key"], found["value"]
        if found["regex"] is not None:
            key, value = "re", found["regex"]
        if key is None:
            _misspelt(found["text"] or "")
            words.append(found["text"] if found["quoted"] is None else found["quoted"])
            continue
        name = SAME.get(key.lower(), key.lower())
        if name not in FILTERS:
            raise Mistake(
                f"there is no filter {key}: but {', '.join(FILTERS)}; "
                f'to look for it as text, write "{clean_line(found[0])}"'
            )
        if name in given:
            raise Mistake(f"{name} is given twice; once is enough")
        given.add(name)
        field, read, example = FILTERS[name]
        said = value if found["regex"] is not None else value.strip('"') if value.startswith('"') else value
        if not said:
            raise Mistake(f"{name}: needs a value, for example {name}:{example}")
        wanted = replace(wanted, **{field: read(name, said, example)})
    text = " ".join(word for word in words if word)
    return replace(wanted, text=text or None)


def unfinished(line: str) -> bool:
    """Whether the last word may become a filter: what it means as text is not asked yet."""
    word = line[max(line.rfind(" "), line.rfind('"')) + 1 :].lower()
    return bool(word) and any(name.startswith(word) for name in (*FILTERS, *SAME))


def _misspelt(word: str) -> None:
    """Say how a filter is written where one was meant, as in `reward=1`, `reward>0.5` or `/carry`.

    Raises:
        Mistake: the word is the name of a filter with a sign that is none here, or an expression without its end.
    """
    # A path is looked for as it stands.
    if word.startswith("/") and re.search(r"[\\^$*+?{}\[\]|()]", word):
        raise Mistake(
            "a regular expression stands between slashes, as in /carry|sum/; "
            f'to look for it as text, write "{clean_line(word)}"'
        )
    key, sign, value = re.fullmatch(r"([A-Za-z]*)(=?)(.*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
    name = SAME.get(key.lower(), key.lower())
    if name in FILTERS and (sign or value.startswith(("<", ">"))):
        raise Mistake(
            f"a filter has a colon: {name}:{clean_line(value) or FILTERS[name][2]}; "
            f'to look for it as text, write "{clean_line(word)}"'
        )


def mistake(line: str) -> str:
    """What is wrong with a line; empty when nothing is."""
    try:
        parse(line)
    except Mistake as problem:
        return str(problem)
    return ""


def span(name: str, said: str, example: str) -> Range:
    """Lowest and highest, both within, of `5`, `0-5`, `-1..1`, `0..<1`, `5..`, `>5`, `>=5`, `<5` or `<=5`."""
    found = _SPAN.fullmatch(said)
    if found is None or not any(found[part] for part in ("bound", "low", "high")):
        raise Mistake(f"{name}:{clean_line(said)} is no range; write it as {name}:{example}, {name}:>5 or {name}:0..5")
    if found["sign"]:
        bound = _number(found["bound"])
        match found["sign"]:
            case ">":
                return math.nextafter(bound, math.inf), math.inf
            case ">=":
                return bound, math.inf
            case "<":
                return -math.inf, math.nextafter(bound, -math.inf)
        return -math.inf, bound
    low = _number(found["low"]) if found["low"] else -math.inf
    high = _number(found["high"]) if found["high"] else math.inf if found["to"] else low
    if found["high"] and not found["to"]:
        raise Mistake(f"{name}:{clean_line(said)} is no range; write it as {name}:{example}")
    if found["to"] == "..<":
        high = math.nextafter(high, -math.inf)
    if low > high:
        raise Mistake(f"{name}:{clean_line(said)} begins above its end; write the lower number first")
    return low, high


def _number(said: str) -> float:
    return float(said.replace("−", "-"))


def _yes(name: str, said: str, example: str) -> bool:
    if said.lower() not in YES_NO:
        raise Mistake(f"{name}:{clean_line(said)} is neither yes nor no; write {name}:yes or {name}:no")
    return YES_NO[said.lower()]


def _name(name: str, said: str, example: str) -> str:
    return said


def _group(name: str, said: str, example: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", said) or int(said) < 1:
        raise Mistake(f"{name}:{clean_line(said)} is no group; they are counted from 1, as in {name}:{example}")
    return int(said) - 1


def _regex(name: str, said: str, example: str) -> str:
    try:
        expression = compiled(said)
    except ValueError as problem:
        raise Mistake(f"{clean_line(str(problem))}; quotes look for it as text") from None
    # The search runs beside the screen, and while an expression is tried on a text neither gets anywhere.
    if explodes(expression):
        raise Mistake(
            f"{clean_line(said)} repeats a repeat or a choice, which can take for ever; write it with one + or *"
        )
    return said


Read = Callable[[str, str, str], Any]

FILTERS: dict[str, tuple[str, Read, str]] = {
    "task": ("task", _name, 'addition or task:"two words"'),
    "format": ("format", _name, "column"),
    "step": ("steps", span, "100-200"),
    "group": ("group", _group, "3"),
    "reward": ("reward", span, "0.5-1"),
    "adv": ("advantage", span, "-1..0"),
    "conf": ("confidence", span, "0.9-1"),
    "length": ("length", span, "100-200"),
    "correct": ("right", _yes, "no"),
    "judged": ("judged", _yes, "yes"),
    "generation": ("generations", span, "57-72"),
    "cut": ("cut", _yes, "yes"),
    "prompt": ("prompt", _name, '"the whole prompt"'),
    "tokens": ("traced", _yes, "yes"),
    "re": ("regex", _regex, r"wait\b"),
}
"""For each filter what it sets, how its value is read, and a value that would be right."""

SAME = {"steps": "step", "advantage": "adv", "confidence": "conf", "len": "length", "right": "correct", "regex": "re"}
"""Other words for the same filters."""

YES_NO = {"yes": True, "no": False, "y": True, "n": False, "true": True, "false": False}
