"""The small files of a run: replaced whole or not at all, and never waited for."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from rlpeaks_tui.run.facts import (
    Exit,
    Heartbeat,
    read_exit,
    read_facts,
    read_heartbeat,
    shown_facts,
    write_exit,
    write_facts,
    write_heartbeat,
)
from rlpeaks_tui.run.layout import Layout, open_regular, replace_file
from tests.run_fakes import info, new_run

BEAT = Heartbeat(t=1.5, beat=3, pid=7, host="h", step=9, activity="generating", since=1.0)
END = Exit(t=2.5, code=-9, signal="SIGKILL", tail=["a", "b"])


def test_a_run_directory_is_private_and_made_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "deep" / "runs" / "demo")
    layout.create()
    made = [layout.root, *layout.root.iterdir()]
    assert {path.name for path in made} == {"demo", "journal", "rollouts", "layers", "inbox", "checkpoints"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}
    with pytest.raises(FileExistsError):
        layout.create()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    layout = new_run(tmp_path / "demo")
    assert read_heartbeat(layout) is None and read_exit(layout) is None
    given = info(name="demo", config={"grpo": {"beta": 0.0, "x": [1, None, "\x1b"]}}, facts={"n": 1})
    write_facts(layout, given)
    write_heartbeat(layout, BEAT)
    write_exit(layout, END)
    assert (read_facts(layout), read_heartbeat(layout), read_exit(layout)) == (given, BEAT, END)
    assert shown_facts(layout).config == {"grpo": {"beta": 0.0, "x": [1, None, "\ufffd"]}}


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"\xff", b'{"t":1}', b'{"t":"x"}', b'{"x":' + b"[" * 100_000, b'{"t":1e999}', b" " * (5 << 20)],
)
def test_a_damaged_sign_of_life_or_exit_is_none(tmp_path: Path, raw: bytes) -> None:
    layout = new_run(tmp_path / "demo")
    for path in (layout.heartbeat, layout.exit):
        path.write_bytes(raw)
    assert read_heartbeat(layout) is None
    # An exit that says no more than when is an exit all the same.
    assert (read_exit(layout) is None) == (raw != b'{"t":1}')


def test_a_replacement_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    replace_file(target, b"old")

    def refuse(self: Path, other: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="No space"):
            replace_file(target, b"new")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]
    with pytest.raises(IsADirectoryError):
        (tmp_path / "folder").mkdir()
        replace_file(tmp_path / "folder", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_reader_never_sees_half_of_a_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    whole = {bytes([letter]) * 100_000 for letter in b"abc"}
    replace_file(target, next(iter(whole)))
    done = threading.Event()

    def write() -> None:
        for _ in range(30):
            for content in whole:
                replace_file(target, content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(target.read_bytes())
    writer.join()
    assert seen and seen <= whole


def test_only_regular_files_are_opened_and_none_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"content"
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(tmp_path / name)
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(Path("/dev/zero"))
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nowhere")
    assert not _held(tmp_path) and not _held(Path("/dev/zero"))
    with open_regular(tmp_path / "file"):
        assert _held(tmp_path) == {tmp_path / "file"}


def _held(place: Path) -> set[Path]:
    """The files at or below `place` that this process holds open; other threads of it may hold others."""
    held = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            held.add(Path(os.readlink(f"/proc/self/fd/{number}")))
    return {path for path in held if path.is_relative_to(place)}
