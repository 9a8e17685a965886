"""Commands as files: whoever may write in the run directory may steer the run.

A command is one file, written beside and renamed into place, so the training process sees it whole or not
at all. Everything that is found in the inbox is checked here; what is not a command is set aside with a
reason and never blocks what follows.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import socket
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from .entries import clean_decode
from .layout import Layout, replace_file
from .requests import BadCommand, request
from .text import clean_line

BIGGEST_COMMAND = 64 << 10


class Order(Struct, frozen=True, kw_only=True):
    """A command on its way: `id` makes sure that it is applied once however often it is sent."""

    id: str
    verb: str
    args: list[str] = []
    who: str = ""
    sent: float = 0.0


class SetAside(Struct, frozen=True):
    """A file of the inbox that is no command, and why."""

    name: str
    why: str


def sender() -> str:
    """Who sends from here: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def send(directory: Path, verb: str, *args: str, who: str | None = None) -> str:
    """Drop a command into the inbox of the run at `directory`; gives its id.

    Raises:
        BadCommand: there is no such command, or its arguments are wrong.
        OSError: the inbox cannot be written.
    """
    request(verb, args)
    now = time.time()
    # Names sort by time of sending, so that the training process applies commands in that order.
    ident = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    order = Order(id=ident, verb=verb, args=list(args), who=who or sender(), sent=now)
    replace_file(Layout(directory).inbox / f"{ident}.json", msgspec.json.encode(order))
    return ident


def waiting(directory: Path) -> list[Order]:
    """Commands that no training process has taken yet, oldest first. Reads only."""
    orders = [_order(path) for path in _files(Layout(directory).inbox)]
    return [order for order in orders if isinstance(order, Order)]


def take(directory: Path) -> tuple[list[Order], list[SetAside]]:
    """For the training process: the waiting commands, oldest first, and files that were set aside.

    The files stay until `forget` is called with the id, after the answer is in the journal.
    """
    inbox = Layout(directory).inbox
    orders: list[Order] = []
    aside: list[SetAside] = []
    for path in _files(inbox):
        found = _order(path)
        if isinstance(found, Order):
            orders.append(found)
        else:
            aside.append(SetAside(clean_line(path.name), clean_line(found)))
            _set_aside(path)
    return orders, aside


def _set_aside(path: Path) -> None:
    rejected = path.parent / "rejected"
    try:
        rejected.mkdir(mode=0o700, exist_ok=True)
        # A directory cannot replace one of its own name, so each gets a name of its own.
        path.rename(rejected / f"{time.time_ns():020d}-{path.name}"[:255])
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()


def forget(directory: Path, ident: str) -> None:
    """Remove an answered command."""
    # One that cannot be removed is not applied again all the same: its id was answered.
    with contextlib.suppress(OSError):
        (Layout(directory).inbox / f"{ident}.json").unlink(missing_ok=True)


def _files(inbox: Path) -> list[Path]:
    try:
        names = os.listdir(inbox)
    except OSError:
        return []
    return [inbox / name for name in sorted(names) if name.endswith(".json") and not name.startswith(".")]


def _order(path: Path) -> Order | str:
    """The command in a file, or why it is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    try:
        about = os.fstat(handle)
        if about.st_uid not in (os.getuid(), 0):
            return f"belongs to another user (uid {about.st_uid})"
        raw = os.read(handle, BIGGEST_COMMAND + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    finally:
        os.close(handle)
    if len(raw) > BIGGEST_COMMAND:
        return f"is larger than {BIGGEST_COMMAND // 1024} kB"
    try:
        order: Order = clean_decode(raw, Order)
        request(order.verb, order.args)
    except (ValueError, RecursionError, BadCommand) as error:
        return f"is no command: {error}"
    if path.name != f"{order.id}.json":
        return "its name does not match its id"
    return order
