"""The inbox: commands in order, and nothing that anybody drops there can stop those behind it."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpeaks_tui.run import mailbox
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.mailbox import BIGGEST_COMMAND, Order, forget, send, take, waiting
from rlpeaks_tui.run.requests import BadCommand, request
from tests.run_fakes import NASTY, is_safe, new_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return new_run(tmp_path / "demo").root


def drop(run: Path, name: str, content: bytes | dict[str, Any]) -> Path:
    path = Layout(run).inbox / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def order(ident: str, verb: str = "pause", **more: Any) -> dict[str, Any]:
    return {"id": ident, "verb": verb, **more}


def verbs(orders: list[Order]) -> list[str]:
    return [o.verb for o in orders]


def test_commands_come_in_the_order_in_which_they_were_sent_and_stay_until_forgotten(run: Path) -> None:
    sent = [send(run, verb, *args, who="me@here") for verb, *args in (["pause"], ["step", "3"], ["resume"], ["stop"])]
    assert sent == sorted(sent) and len(set(sent)) == 4
    for _ in range(2):
        orders, aside = take(run)
        assert (verbs(orders), aside) == (["pause", "step", "resume", "stop"], [])
        assert [o.id for o in orders] == sent == [o.id for o in waiting(run)]
    assert orders[1].args == ["3"] and orders[1].who == "me@here"
    forget(run, sent[1])
    forget(run, sent[1])
    assert verbs(take(run)[0]) == ["pause", "resume", "stop"]


def test_a_command_file_appears_whole_and_private_under_its_name_only(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        # Threads of other tests may still put files of their own runs into place.
        if Path(target).parent == Layout(run).inbox:
            seen.append([o.id for o in waiting(run)])
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    ident = send(run, "pause")
    assert seen == [[]]
    assert [path.name for path in Layout(run).inbox.iterdir()] == [f"{ident}.json"]
    assert stat.S_IMODE(Layout(run).inbox.stat().st_mode) == 0o700


def test_a_command_sent_twice_is_the_same_command(run: Path) -> None:
    ident = send(run, "pause")
    path = Layout(run).inbox / f"{ident}.json"
    copy = path.read_bytes()
    forget(run, ident)
    path.write_bytes(copy)
    path.write_bytes(copy)
    assert [o.id for o in take(run)[0]] == [ident]


WRONG: dict[str, Callable[[Path], object]] = {
    "not JSON": lambda inbox: (inbox / "0.json").write_bytes(b"pause please"),
    "empty": lambda inbox: (inbox / "0.json").touch(),
    "not UTF-8": lambda inbox: (inbox / "0.json").write_bytes(b'{"id":"0","verb":"\xff"}'),
    "half written": lambda inbox: (inbox / "0.json").write_bytes(b'{"id":"0","ve'),
    "a list": lambda inbox: (inbox / "0.json").write_bytes(b"[]"),
    "nested": lambda inbox: (inbox / "0.json").write_bytes(b'{"x":' + b"[" * 60_000),
    "oversized": lambda inbox: (inbox / "0.json").write_bytes(json.dumps(order("0")).encode() + b" " * BIGGEST_COMMAND),
    "unknown verb": lambda inbox: (inbox / "0.json").write_bytes(b'{"id":"0","verb":"explode"}'),
    "wrong arguments": lambda inbox: (inbox / "0.json").write_bytes(b'{"id":"0","verb":"pause","args":["now"]}'),
    "a number of 5000 digits": lambda inbox: (inbox / "0.json").write_text(
        json.dumps(order("0", "step", args=["9" * 5000]))
    ),
    "wrong id": lambda inbox: (inbox / "0.json").write_bytes(b'{"id":"1","verb":"pause"}'),
    "symlink": lambda inbox: (inbox / "0.json").symlink_to("/etc/passwd"),
    "symlink to a command": lambda inbox: [
        (inbox / "real").write_text(json.dumps(order("0"))),
        (inbox / "0.json").symlink_to(inbox / "real"),
    ],
    "dangling symlink": lambda inbox: (inbox / "0.json").symlink_to("nowhere"),
    "directory": lambda inbox: (inbox / "0.json").mkdir(),
    "full directory": lambda inbox: [(inbox / "0.json").mkdir(), (inbox / "0.json" / "x").touch()],
    "pipe": lambda inbox: os.mkfifo(inbox / "0.json"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_command_is_set_aside_with_a_reason_and_what_follows_is_obeyed(run: Path, wrong: str) -> None:
    inbox = Layout(run).inbox
    for attempt in range(2):
        WRONG[wrong](inbox)
        ident = send(run, "pause")
        assert verbs(waiting(run)) == ["pause"]
        orders, aside = take(run)
        assert [o.id for o in orders] == [ident]
        assert [found.name for found in aside] == ["0.json"]
        assert aside[0].why and "\n" not in aside[0].why
        assert not os.path.lexists(inbox / "0.json")
        assert take(run) == (orders, [])
        forget(run, ident)
        assert len(list((inbox / "rejected").iterdir())) == attempt + 1
        (inbox / "real").unlink(missing_ok=True)


def test_a_pipe_with_somebody_at_the_other_end_does_not_hold_anyone_either(run: Path) -> None:
    pipe = Layout(run).inbox / "0.json"
    os.mkfifo(pipe)
    holder = os.open(pipe, os.O_RDWR)
    try:
        orders, aside = take(run)
    finally:
        os.close(holder)
    assert orders == [] and [found.name for found in aside] == ["0.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_no_command(run: Path) -> None:
    os.chown(drop(run, "0.json", order("0")), 12345, 12345)
    orders, aside = take(run)
    assert orders == [] and "another user" in aside[0].why and "12345" in aside[0].why


@pytest.mark.parametrize("name", [".0.json", "0.json.tmp", ".0.json.77.tmp", "0.JSON", "0", "readme.txt"])
def test_files_that_are_being_written_or_are_not_ours_are_left_alone(run: Path, name: str) -> None:
    path = drop(run, name, b'{"id":"0","ve')
    assert take(run) == ([], [])
    assert path.exists()


def test_nowhere_to_set_things_aside_does_not_block_either(run: Path) -> None:
    inbox = Layout(run).inbox
    (inbox / "rejected").write_text("in the way")
    drop(run, "0.json", b"no")
    ident = send(run, "pause")
    assert [o.id for o in take(run)[0]] == [ident]
    assert take(run)[1] == []
    assert (inbox / "rejected").read_text() == "in the way"


def test_names_and_senders_cannot_steer_a_terminal_or_break_a_journal(run: Path) -> None:
    drop(run, "\x1b]0;x\x07.json", b"no")
    (Layout(run).inbox / os.fsdecode(b"\xff.json")).touch()
    for i, nasty in enumerate(n for n in NASTY if "\ud800" not in n):
        drop(run, f"{i}.json", order(str(i), who=nasty))
    orders, aside = take(run)
    assert len(orders) > 30 and len(aside) == 2
    assert all(is_safe(o.who) for o in orders + waiting(run))
    assert all(is_safe(found.name) and found.name.encode() for found in aside)


def test_no_inbox_is_an_empty_inbox(tmp_path: Path) -> None:
    assert take(tmp_path) == ([], []) and waiting(tmp_path) == []
    with pytest.raises(OSError, match="No such file"):
        send(tmp_path, "pause")
    with pytest.raises(BadCommand):
        send(tmp_path, "explode")


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        *[("step", (word,)) for word in ("0", "-1", "1.5", "1000001", "", "\u0663", "9" * 5000)],
        ("step", ("1", "2")),
        ("pause", ("x",)),
        ("stop", ("",)),
        ("Pause", ()),
        ("", ()),
    ],
)
def test_a_command_that_cannot_be_sent_says_what_would_be_right(run: Path, verb: str, args: tuple[str, ...]) -> None:
    with pytest.raises(BadCommand) as problem:
        send(run, verb, *args)
    assert any(
        word in str(problem.value) for word in ("1 to 1000000", "no argument", "pause, resume, step, stop, checkpoint")
    )
    assert list(Layout(run).inbox.iterdir()) == []


@pytest.mark.parametrize(("verb", "args"), [("step", ()), ("step", ("1",)), ("step", ("1000000",)), ("pause", ())])
def test_a_command_that_can_be_sent_passes(verb: str, args: tuple[str, ...]) -> None:
    request(verb, args)


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b'{"id":"x","verb":"pause"}', b"{}"])), max_size=4))
@settings(max_examples=30)
def test_whatever_lies_before_it_a_command_arrives(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = new_run(Path(name) / "demo").root
        for i, content in enumerate(contents):
            drop(root, f"{i}.json", content)
        ident = send(root, "stop")
        orders, aside = take(root)
        assert [o.id for o in orders] == [ident] and len(aside) == len(contents)


def test_the_sender_has_a_name_and_a_host() -> None:
    user, _, host = mailbox.sender().partition("@")
    assert user and host
