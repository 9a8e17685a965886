"""The journal under kills, short writes, full disks and strangers' files: what was acknowledged is read once."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rlpeaks_tui.run import journal
from rlpeaks_tui.run.entries import Entry, Error, Line, Lost, Metrics, Probe, State, finite
from rlpeaks_tui.run.journal import JournalReader, JournalWriter, segment_path
from tests.run_fakes import NASTY, is_safe, texts


class Disk:
    """Stands before `os.write` in the journal module: takes what it has room for, and at most `most` bytes a call."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.most: int | None = None

    def write(self, handle: int, data: bytes) -> int:
        fits = min(n for n in (len(data), self.room, self.most) if n is not None)
        if self.room is not None:
            if self.room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= fits
        return os.write(handle, data[:fits])

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@contextmanager
def disk(**bounds: int) -> Iterator[Disk]:
    """A disk that can be filled, and smaller bounds of the journal (SEGMENT_BYTES, WAITING_ENTRIES, LONGEST_LINE)."""
    it = Disk()
    with mock.patch.multiple(journal, os=it, **bounds):
        yield it


def note(writer: str, number: int, padding: int = 0) -> Error:
    return Error(t=float(number), where=writer, text=f"{number}" + "." * padding)


def read_all(reader: JournalReader, piece: int = 1 << 20) -> list[Line]:
    entries = reader.read(seconds=1e6, piece=piece)
    assert not reader.more
    return entries


def numbers(entries: list[Line], writer: str) -> list[int]:
    return [int(e.t) for e in entries if isinstance(e, Error) and e.where == writer]


class Journals(RuleBasedStateMachine):
    """Writers that live and die on a disk that fills and empties, and a reader that looks now and then."""

    WRITERS = ("trainer", "launcher-1")

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.patched = disk(SEGMENT_BYTES=300, WAITING_ENTRIES=6)
        self.disk = self.patched.__enter__()
        self.writers = {name: JournalWriter(self.folder, name) for name in self.WRITERS}
        self.sent = dict.fromkeys(self.WRITERS, 0)
        self.waiting: dict[str, list[int]] = {name: [] for name in self.WRITERS}
        self.acknowledged: dict[str, set[int]] = {name: set() for name in self.WRITERS}
        self.given_up = dict.fromkeys(self.WRITERS, 0)
        self.reader = JournalReader(self.folder)
        self.seen: list[Line] = []
        self.junk = 0

    @rule(name=st.sampled_from(WRITERS), count=st.integers(0, 9), padding=st.sampled_from([0, 1, 50, 400]))
    def write(self, name: str, count: int, padding: int) -> None:
        first = self.sent[name] + 1
        self.sent[name] += count
        self.waiting[name] += range(first, first + count)
        writer = self.writers[name]
        done = writer.write(*[note(name, n, padding) for n in range(first, first + count)], sync=count % 2 == 0)
        assert done == (writer.trouble == "")
        if done:
            self.acknowledged[name] |= set(self.waiting[name]) - set(self._lost_numbers(name))
            self.waiting[name] = []

    def _lost_numbers(self, name: str) -> list[int]:
        """Which ones a writer gave up is its affair; how many is not. They are the ones that a full read lacks."""
        lost = self.writers[name].lost - self.given_up[name]
        if not lost:
            return []
        self.given_up[name] += lost
        there = set(numbers(read_all(JournalReader(self.folder)), name))
        missing = [n for n in self.waiting[name] if n not in there]
        assert len(missing) == lost
        return missing

    @rule(room=st.integers(0, 400))
    def fill(self, room: int) -> None:
        self.disk.room = room

    @rule()
    def empty(self) -> None:
        self.disk.room = None

    @rule(most=st.one_of(st.none(), st.integers(1, 200)))
    def write_short(self, most: int | None) -> None:
        self.disk.most = most

    @rule(name=st.sampled_from(WRITERS), taken=st.integers(0, 300))
    def kill_while_writing(self, name: str, taken: int) -> None:
        """The kernel took some bytes of a batch; nobody was told that it arrived."""
        self.disk.room = taken
        count = 3
        self.writers[name].write(*[note(name, self.sent[name] + 1 + i) for i in range(count)])
        self.sent[name] += count
        self.waiting[name] = []
        self.given_up[name] = 0
        self.disk.room = None
        self.writers[name] = JournalWriter(self.folder, name)

    @rule(name=st.sampled_from(WRITERS))
    def close_and_go_on(self, name: str) -> None:
        self.writers[name].close()
        if not self.writers[name].trouble:
            self.acknowledged[name] |= set(self.waiting[name]) - set(self._lost_numbers(name))
            self.waiting[name] = []

    @rule(
        line=st.sampled_from(
            [b"{}", b"no json", b'{"k":"future","t":1}', b'{"k":"metrics","t":1,"step":1e99,"v":{}}', b"\xff"]
        )
    )
    def junk_from_a_stranger(self, line: bytes) -> None:
        with segment_path(self.folder, "stranger", 1).open("ab") as file:
            file.write(line + b"\n")
        self.junk += 1

    @rule(piece=st.sampled_from([1, 7, 100, 1 << 20]), seconds=st.sampled_from([0.0, 1e6]))
    def look(self, piece: int, seconds: float) -> None:
        self.seen += self.reader.read(seconds=seconds, piece=piece)

    @invariant()
    def in_order_and_never_twice(self) -> None:
        for name in self.WRITERS:
            seen = numbers(self.seen, name)
            assert seen == sorted(set(seen))

    def teardown(self) -> None:
        if not hasattr(self, "disk"):
            return
        self.disk.room = self.disk.most = None
        for name in self.WRITERS:
            self.write(name, 1, 0)
            assert self.writers[name].trouble == ""
        self.seen += read_all(self.reader)
        self.in_order_and_never_twice()
        fresh = JournalReader(self.folder)
        at_once, slowly = read_all(fresh), read_all(JournalReader(self.folder), piece=1)
        assert at_once == slowly
        assert fresh.skipped == self.reader.skipped >= self.junk
        for name in self.WRITERS:
            seen = numbers(self.seen, name)
            assert seen == numbers(at_once, name)
            assert self.acknowledged[name] <= set(seen) <= set(range(1, self.sent[name] + 1))
        told = [e.count for e in at_once if isinstance(e, Lost)]
        assert max(told, default=0) >= max(writer.lost for writer in self.writers.values())
        self.patched.__exit__(None, None, None)
        shutil.rmtree(self.folder)


TestJournals = Journals.TestCase
TestJournals.settings = settings(max_examples=60, stateful_step_count=25)


@given(cut=st.integers(0, 2000), data=st.data())
@settings(max_examples=60)
def test_a_segment_cut_at_any_byte_gives_its_whole_lines_and_the_next_process_goes_on(cut: int, data: Any) -> None:
    with tempfile.TemporaryDirectory() as name, disk(SEGMENT_BYTES=400):
        folder = Path(name)
        first = JournalWriter(folder, "trainer")
        for n in range(1, 21):
            assert first.write(note("trainer", n, data.draw(st.integers(0, 40))))
        last = max(folder.iterdir())
        raw = last.read_bytes()
        last.write_bytes(raw[: cut % (len(raw) + 1)])
        torn = raw[: cut % (len(raw) + 1)].count(b"\n") - raw.count(b"\n")
        reader = JournalReader(folder)
        seen = read_all(reader)
        assert numbers(seen, "trainer") == list(range(1, 21 + torn))
        second = JournalWriter(folder, "trainer")
        assert second.write(note("trainer", 21))
        assert numbers(read_all(reader), "trainer") == [21]
        assert reader.skipped == 0


@pytest.mark.parametrize("missing", [1, 2, 30])
def test_a_line_that_lacks_only_its_end_is_not_read_twice(tmp_path: Path, missing: int) -> None:
    writer, reader = JournalWriter(tmp_path, "trainer"), JournalReader(tmp_path)
    line = len(journal.encoder.encode(note("trainer", 1))) + 1
    with disk() as it:
        it.most = line - missing
        assert not writer.write(note("trainer", 1))
        assert read_all(reader) == []
        it.most = None
        assert writer.write(note("trainer", 2))
    assert numbers(read_all(reader), "trainer") == [1, 2]


def test_a_disk_that_takes_one_byte_a_call_delivers_nothing_wrong(tmp_path: Path) -> None:
    writer, reader = JournalWriter(tmp_path, "trainer"), JournalReader(tmp_path)
    with disk() as it:
        it.most = 1
        for n in range(1, 200):
            assert not writer.write(note("trainer", n))
        assert read_all(reader) == []
        it.most = None
        assert writer.write()
    assert numbers(read_all(reader), "trainer") == list(range(1, 200))


def test_what_a_full_disk_costs_is_counted_exactly_and_told_before_what_survived(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "trainer", clock=lambda: 5.0)
    with disk(WAITING_ENTRIES=10) as it:
        assert writer.write(note("trainer", 0))
        it.room = 0
        for n in range(1, 38):
            assert not writer.write(note("trainer", n))
            assert writer.lost == max(0, n - 10)
        assert "No space left" in writer.trouble and str(tmp_path) in writer.trouble
        it.room = None
        assert writer.write(note("trainer", 38))
        assert writer.trouble == ""
    entries = read_all(JournalReader(tmp_path))
    # 37 waited, 10 were kept
    assert writer.lost == 27
    assert [e for e in entries if isinstance(e, Lost)] == [Lost(t=5.0, count=27)]
    assert numbers(entries, "trainer") == [0, *range(28, 39)]
    assert isinstance(entries[1], Lost)


def test_the_loss_is_told_once_even_when_telling_it_is_cut_short(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "trainer", clock=lambda: 5.0)
    with disk(WAITING_ENTRIES=2) as it:
        it.room = 0
        for n in range(5):
            writer.write(note("trainer", n))
        for most in (1, 5, 20):
            it.room, it.most = None, most
            writer.write()
        it.most = None
        assert writer.write()
    assert [e.count for e in read_all(JournalReader(tmp_path)) if isinstance(e, Lost)] == [3]
    assert writer.lost == 3


def test_one_write_of_more_than_may_wait_is_written_whole(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "trainer")
    with disk(WAITING_ENTRIES=10):
        assert writer.write(*[note("trainer", n) for n in range(50)])
    assert numbers(read_all(JournalReader(tmp_path)), "trainer") == list(range(50))
    assert writer.lost == 0


def test_a_folder_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    writer = JournalWriter(folder, "trainer")
    assert not writer.write(note("trainer", 1))
    assert "No such file" in writer.trouble
    folder.mkdir()
    assert writer.write(note("trainer", 2))
    assert numbers(read_all(JournalReader(folder)), "trainer") == [1, 2]


@pytest.mark.parametrize(
    "entry",
    [
        Error(t=1.0, where="x", text="\ud800"),
        Metrics(t=1.0, step=1, v={"reward": object()}),  # type: ignore[dict-item]
        Probe(t=1.0, name="x", step=1, v={}, facts={"big": "x" * (journal.LONGEST_LINE + 1)}),
    ],
    ids=["half a character", "no number", "too long"],
)
def test_what_cannot_be_written_is_counted_and_never_raises(tmp_path: Path, entry: Entry) -> None:
    writer, reader = JournalWriter(tmp_path, "trainer"), JournalReader(tmp_path)
    assert not writer.write(entry, note("trainer", 1))
    assert type(entry).__name__ in writer.trouble
    assert writer.write(note("trainer", 2))
    entries = read_all(reader)
    assert numbers(entries, "trainer") == [1, 2]
    assert writer.lost == 1 and [e.count for e in entries if isinstance(e, Lost)] == [1]
    assert reader.skipped == 0


def test_numbers_that_are_not_finite_become_null_with_a_reason(tmp_path: Path) -> None:
    values, why = finite(
        {"a": float("nan"), "b": float("inf"), "c": float("-inf"), "d": None, "e": 1, "f": 2.5}, {"d": "not due yet"}
    )
    assert values == {"a": None, "b": None, "c": None, "d": None, "e": 1.0, "f": 2.5}
    assert set(why) == {"a", "b", "c", "d"} and why["d"] == "not due yet"
    assert "nan" in why["a"] and "inf" in why["b"]
    JournalWriter(tmp_path, "trainer").write(Metrics(t=1.0, step=1, v={"a": float("nan"), **values}, why=why))
    raw = segment_path(tmp_path, "trainer", 1).read_text()
    assert json.loads(raw, parse_constant=lambda word: pytest.fail(f"bare {word}"))["v"]["a"] is None


def lines(folder: Path, *raw: bytes, number: int = 1) -> None:
    with segment_path(folder, "trainer", number).open("ab") as file:
        file.write(b"".join(raw))


GOOD = b'{"k":"error","t":7,"where":"trainer","text":"ok"}\n'
LONG = b'{"k":"error","t":7,"where":"trainer","text":"' + b"x" * 100 + b'"}\n'


def test_unknown_kinds_are_skipped_and_counted_and_unknown_keys_are_passed_over(tmp_path: Path) -> None:
    lines(
        tmp_path,
        GOOD,
        b'{"k":"hologram","t":1}\n',
        b'{"t":1}\n',
        b'{"k":"error","t":8,"where":"trainer","text":"ok","invented":{"later":[1]}}\n',
        b"[]\n\n\n",
        b'{"k":"metrics","t":1,"step":99999999999999999999,"v":{}}\n',
        b'{"k":"metrics","t":1,"step":1,"v":{"a":1e999}}\n',
        b'{"k":"metrics","t":1,"step":1,"v":{"a":NaN}}\n',
        b'{"k":"error","t":1,"where":"trainer","text":"\xff"}\n',
        b'{"k":"error","t":1,"where":"trainer","text":"\\ud800"}\n',
        b'{"k":"metrics","t":1,"step":1,"v":{},"x":' + b"[" * 100_000 + b"\n",
        GOOD,
    )
    reader = JournalReader(tmp_path)
    assert numbers(read_all(reader), "trainer") == [7, 8, 7]
    assert reader.skipped == 9


@pytest.mark.parametrize("size", [20 << 20, 100 << 20])
@pytest.mark.parametrize("piece", [1 << 16, 1 << 20])
def test_a_line_of_megabytes_of_garbage_is_one_skipped_line_and_little_memory(
    tmp_path: Path, size: int, piece: int
) -> None:
    lines(tmp_path, GOOD)
    with segment_path(tmp_path, "trainer", 1).open("r+b") as file:
        # A hole in the file: zeros that take no disk.
        file.seek(size, os.SEEK_END)
        # What looks like an entry inside the garbage is garbage too.
        file.write(GOOD + GOOD)
    lines(tmp_path, GOOD, number=2)
    reader = JournalReader(tmp_path)
    tracemalloc.start()
    try:
        entries = read_all(reader, piece=piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert numbers(entries, "trainer") == [7, 7, 7]
    assert reader.skipped == 1
    assert peak < 4 * journal.LONGEST_LINE


def test_garbage_that_still_grows_is_passed_over_as_it_comes(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path)
    with disk(LONGEST_LINE=100):
        for _ in range(5):
            lines(tmp_path, b"x" * 90)
            assert read_all(reader, piece=10) == []
        lines(tmp_path, b"x\n", GOOD)
        assert numbers(read_all(reader, piece=10), "trainer") == [7]
    assert reader.skipped == 1


@given(
    chunks=st.lists(
        st.one_of(st.sampled_from([GOOD, LONG, b"\n", b"x" * 120, b"{}\n", b"\r\n"]), st.binary(max_size=30)),
        max_size=12,
    ),
    pieces=st.lists(st.integers(1, 90), min_size=1, max_size=4),
)
def test_reading_in_pieces_is_the_same_as_reading_at_once(chunks: list[bytes], pieces: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name, disk(LONGEST_LINE=100):
        folder = Path(name)
        lines(folder, *chunks)
        whole = JournalReader(folder)
        at_once = read_all(whole, piece=1 << 20)
        bit = JournalReader(folder)
        bits: list[Line] = []
        for i in range(1000):
            bits += bit.read(seconds=0, piece=pieces[i % len(pieces)])
            if not bit.more:
                break
        else:
            pytest.fail("the reader never came to the end")
        assert (bits, bit.skipped) == (at_once, whole.skipped)


def test_names_in_the_folder_that_are_no_segments_are_nothing(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "trainer")
    assert writer.write(note("trainer", 1))
    writer.close()
    for name in (
        "trainer-000001 copy.jsonl",
        "trainer-1x.jsonl",
        "trainer-000001-backup.jsonl",
        "trainer-\u0663\u0663\u0663\u0663\u0663\u0663.jsonl",
        "trainer.jsonl",
        "-000001.jsonl",
        ".trainer-000001.jsonl.AbC",
    ):
        (tmp_path / name).write_bytes(GOOD)
    (tmp_path / os.fsdecode(b"\xff-000001.jsonl")).write_bytes(b"")
    (tmp_path / "folder-000001.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe-000001.jsonl")
    reader = JournalReader(tmp_path)
    assert numbers(read_all(reader), "trainer") == [1]
    again = JournalWriter(tmp_path, "trainer")
    assert again.write(note("trainer", 2))
    assert numbers(read_all(reader), "trainer") == [2]


def test_segments_with_gaps_and_huge_numbers_are_read_in_order(tmp_path: Path) -> None:
    for number in (1, 3, 20, 999_999_999_999):
        lines(tmp_path, b'{"k":"error","t":%d,"where":"trainer","text":""}\n' % number, number=number)
    assert numbers(read_all(JournalReader(tmp_path)), "trainer") == [1, 3, 20, 999_999_999_999]


def test_two_writers_keep_to_their_own_segments(tmp_path: Path) -> None:
    trainer, launcher = JournalWriter(tmp_path, "trainer"), JournalWriter(tmp_path, "launcher")
    for n in range(20):
        assert trainer.write(note("trainer", n)) and launcher.write(note("launcher", n))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["launcher-000001.jsonl", "trainer-000001.jsonl"]
    entries = read_all(JournalReader(tmp_path))
    assert numbers(entries, "trainer") == numbers(entries, "launcher") == list(range(20))


def test_files_are_private_and_segments_turn_over(tmp_path: Path) -> None:
    with disk(SEGMENT_BYTES=150):
        writer = JournalWriter(tmp_path, "trainer")
        for n in range(10):
            assert writer.write(note("trainer", n, 60))
        writer.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 5
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert numbers(read_all(JournalReader(tmp_path)), "trainer") == list(range(10))


@given(st.sampled_from(NASTY), st.booleans())
def test_text_from_a_journal_cannot_steer_a_terminal(nasty: str, ascii_only: bool) -> None:
    tree = [
        {"k": "state", "t": 1, "state": "failed", "why": nasty, "activity": nasty},
        {"k": "metrics", "t": 1, "step": 1, "v": {f"a{nasty}": 1.5, "b": None}, "why": {"b": nasty}, "phase": nasty},
        {
            "k": "probe",
            "t": 1,
            "step": 1,
            "name": nasty,
            "v": {},
            "facts": {nasty: nasty},
            "arrays": {nasty: [1.0, None]},
        },
        {
            "k": "command",
            "t": 1,
            "id": nasty,
            "verb": nasty,
            "status": "applied",
            "step": 1,
            "args": [nasty],
            "before": {nasty: nasty},
        },
    ]
    raw = b"".join(json.dumps(line, ensure_ascii=ascii_only).encode("utf-8", "replace") + b"\n" for line in tree)
    with tempfile.TemporaryDirectory() as name:
        lines(Path(name), raw, b'{"k":"error","t":1,"where":"plain","text":"beside it"}\n')
        reader = JournalReader(Path(name))
        entries = read_all(reader)
    assert all(is_safe(text) for entry in entries for text in texts(entry))
    if "\ud800" not in nasty or not ascii_only:
        assert reader.skipped == 0 and len(entries) == 5
        metrics = entries[1]
        assert isinstance(metrics, Metrics) and list(metrics.v.values()) == [1.5, None]


def test_a_state_written_and_read_is_the_same(tmp_path: Path) -> None:
    state = State(
        t=1.5, state="paused", by="launcher", activity="drei \u00e4 \u4e09", step=3, why="by hand", pid=7, host="h"
    )
    JournalWriter(tmp_path, "trainer").write(state)
    assert read_all(JournalReader(tmp_path)) == [state]
