"""The viewer's settings of one person: `cockpit.yaml` in their configuration folder.

Watching never fails for it. Of a file that cannot be used every mistake is said, with its line and what would be right,
and the defaults are in force.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from textual.keys import Keys

from rlpeaks_tui import yaml_lines
from rlpeaks_tui.run.layout import open_regular
from rlpeaks_tui.run.text import clean_line
from rlpeaks_tui.yaml_lines import as_written, nearest

from .commands import BY_ID, in_force, name_of, words_of
from .herald import Notify
from .keyed import OUT_OF_A_LINE

ThemeName = Literal["auto", "dark", "light"]
SLOWEST, FASTEST = 0.2, 30.0
BIGGEST_FILE = 1 << 16


class Unusable(Exception):
    """The file cannot be used; its arguments are the mistakes, each a line for a person."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person prefers.

    Attributes:
        theme: `auto` asks the terminal for its background.
        ascii: no sign beyond ASCII.
        fps: drawings a second at most.
        keys: of commands by id, separated by commas; the others keep theirs.
        notify: how to call when the verdict turns bad.
    """

    theme: ThemeName = "dark"
    ascii: bool = False
    fps: float = 4.0
    keys: dict[str, str] = {}
    notify: Notify = "none"


def place() -> Path:
    """Where the file is looked for."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # A relative one is invalid by the XDG specification.
    folder = Path(base) if os.path.isabs(base) else Path.home() / ".config"
    return folder / "rlpeaks" / "cockpit.yaml"


def read(path: Path) -> tuple[Settings, tuple[str, ...]]:
    """The settings in force, and each mistake in the file as a line; a file that is not there is no mistake."""
    try:
        with open_regular(path) as file:
            raw = file.read(BIGGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Settings(), ()
    except OSError as error:
        return Settings(), (clean_line(f"{path}: cannot be read: {error.strerror}"),)
    try:
        return _settings(raw, path), ()
    except Unusable as error:
        return Settings(), tuple(map(clean_line, error.args))


def over(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """The settings with what the environment says over them; what cannot be used there is passed over."""
    found: dict[str, Any] = {}
    if (theme := environment.get("RLPEAKS_THEME", "")) in get_args(ThemeName):
        found["theme"] = theme
    if (ascii := environment.get("RLPEAKS_ASCII", "")) != "":
        found["ascii"] = ascii != "0"
    with contextlib.suppress(ValueError):
        found["fps"] = min(FASTEST, max(SLOWEST, float(environment.get("RLPEAKS_FPS", ""))))
    return msgspec.structs.replace(settings, **found)


def in_short(mistakes: Sequence[str]) -> str:
    """What is wrong with the file for a place that has room for one line; empty where nothing is."""
    if len(mistakes) < 2:
        return "".join(f"{mistake}; the defaults are in force" for mistake in mistakes)
    said = f"{len(mistakes)} mistakes in {place().name}, all told on leaving; the defaults are in force"
    return f"{said}; {mistakes[0]}"


def tell(mistakes: Sequence[str]) -> None:
    """Leave what is wrong with the file in the normal screen, a line for each mistake."""
    for mistake in mistakes:
        print(f"rlpeaks: {mistake}", file=sys.stderr)


def told(settings: Settings) -> dict[str, str]:
    """What is not as by default, in words."""
    usual = Settings()
    found = {name: getattr(settings, name) for name in settings.__struct_fields__}
    changed = {name: value for name, value in found.items() if value != getattr(usual, name)}
    return {name: ", ".join(value) if isinstance(value, dict) else as_written(value) for name, value in changed.items()}


def _settings(raw: bytes, path: Path) -> Settings:
    if len(raw) > BIGGEST_FILE:
        raise Unusable(f"{path}: larger than {BIGGEST_FILE >> 10} kB, which no settings are")
    try:
        tree, lines = yaml_lines.read(raw.decode())
    except UnicodeDecodeError:
        raise Unusable(f"{path}: no UTF-8 text") from None
    except yaml_lines.Unreadable as error:
        raise Unusable(f"{path}{f':{error.line}' if error.line else ''}: not valid YAML: {error}") from None
    if tree is None:
        return Settings()
    if not isinstance(tree, dict):
        raise Unusable(f"{path}: settings are lines of `key: value`, for example `theme: light`")
    fields = {field.name: field.type for field in msgspec.structs.fields(Settings)}

    def where(key: str) -> str:
        return f"{path}:{lines.get(key, 1)}: {key}"

    values: dict[str, Any] = {}
    wrong: list[str] = []
    for key, value in tree.items():
        if key not in fields:
            wrong.append(f"{path}:{lines[key]}: unknown key {key!r}{_instead(key, list(fields))}")
            continue
        try:
            # A single digit is a key as good as any, though YAML reads a number.
            plain = _words(value) if key == "keys" else value
            values[key] = msgspec.convert(plain, fields[key])
        except msgspec.ValidationError:
            wrong.append(f"{where(key)}: expected {_wanted(key, fields[key])}, got {as_written(value)}")
    settings = Settings(**values)
    if not SLOWEST <= settings.fps <= FASTEST:
        wrong.append(f"{where('fps')}: expected a number from {SLOWEST} to {FASTEST:.0f}, got {settings.fps:g}")
    wrong += _wrong_keys(settings.keys, where)
    if wrong:
        raise Unusable(*wrong)
    return settings


def _wrong_keys(keys: Mapping[str, str], where: Any) -> Iterator[str]:
    """What is wrong with each; what is right but for a key that two commands would have comes last."""
    good = dict(keys)
    for name, text in keys.items():
        words = words_of(text)
        wrong = next((word for word in words if not _is_key(word)), None)
        if name not in BY_ID:
            yield f"{where(f'keys.{name}')}: no command has this id{_instead(name, list(BY_ID))}"
        elif wrong is not None:
            yield (
                f"{where(f'keys.{name}')}: {wrong!r} is no key; write a single character, or a name such as f5, "
                "ctrl+y, space, left"
            )
        elif name in OUT_OF_A_LINE and (typed := [word for word in words if len(word) == 1 or word == "space"]):
            line = f"{where(f'keys.{name}')}: {typed[0]!r} is typed into the line of a question"
            yield f"{line}; write a key such as f5, ctrl+y"
        elif not words:
            yield f"{where(f'keys.{name}')}: names no key; write one such as f5"
        else:
            continue
        del good[name]
    taken: dict[tuple[str, str], str] = {}
    for command in in_force(good):
        for key in command.keys:
            if (command.where, key) in taken:
                # At the line of the one that the file gives the key to.
                mine, other = sorted((command.id, taken[command.where, key]), key=lambda name: name not in good)
                yield (
                    f"{where(f'keys.{mine}')}: {_character(key)!r} is a key of {other} too "
                    f"({BY_ID[other].title}); give one of them another"
                )
            taken[command.where, key] = command.id


_MODIFIERS = ("ctrl", "shift", "alt", "super", "meta", "hyper")
_NAMES = frozenset(key.value.rpartition("+")[2] for key in Keys)


def _is_key(word: str) -> bool:
    *modifiers, base = word.split("+") if len(word) > 1 else [word]
    named = (len(base) == 1 and base.isprintable()) or base in _NAMES or _character(base) != base
    return named and all(modifier in _MODIFIERS for modifier in modifiers)


def _character(key: str) -> str:
    """A key as it is written: `[` for Textual's left_square_bracket."""
    return next((chr(code) for code in range(33, 127) if name_of(chr(code)) == key), key)


def _words(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: str(word) if type(word) is int else word for key, word in value.items()}


def _wanted(key: str, kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    return {"ascii": "true or false", "fps": "a number", "keys": "lines such as `pause: f9, ctrl+y`"}[key]


def _instead(word: str, valid: list[str]) -> str:
    return nearest(word, valid) or f"; there are: {', '.join(valid)}"
