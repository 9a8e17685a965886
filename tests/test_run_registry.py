"""Which run a person means: names, prefixes, paths, and folders with strange things in them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest

from rlpeaks_tui.run.facts import NotARun
from rlpeaks_tui.run.layout import SCHEMA
from rlpeaks_tui.run.registry import as_argument, free_name, resolve, runs, runs_folder
from tests.run_fakes import BEGAN, new_run, unprivileged


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "runs"
    for age, name in enumerate(("alpha", "alpha-2", "beta")):
        new_run(place / name, created=BEGAN + age)
    return place


def test_the_folder_is_the_one_chosen_then_the_environment_then_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPEAKS_RUNS", "/somewhere")
    assert runs_folder("here") == Path("here")
    assert runs_folder() == Path("/somewhere")
    monkeypatch.delenv("RLPEAKS_RUNS")
    assert runs_folder() == Path("runs")


def test_runs_are_listed_newest_first(folder: Path) -> None:
    assert [found.path.name for found in runs(folder)] == ["beta", "alpha-2", "alpha"]
    assert runs(folder / "nowhere") == [] and runs(folder / "beta" / "run.json") == []


def test_a_run_is_meant_by_name_prefix_path_or_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(None, folder) == folder / "beta"
    assert resolve("alpha", folder) == folder / "alpha"
    assert resolve("alpha-", folder) == folder / "alpha-2"
    assert resolve("b", folder) == folder / "beta"
    assert resolve(str(folder / "alpha"), Path("elsewhere")) == folder / "alpha"
    monkeypatch.chdir(folder)
    assert resolve("./alpha", Path("elsewhere")) == Path("alpha")
    assert resolve("alpha", Path("elsewhere")) == Path("alpha")


def test_a_folder_here_that_is_no_run_does_not_hide_a_prefix(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "bet").mkdir()
    monkeypatch.chdir(folder.parent)
    assert resolve("bet", folder) == folder / "beta"


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("al", ("could mean 2 runs", "alpha, alpha-2")),
        ("gamma", ("no run 'gamma'", "alpha", "beta")),
        ("a" * 5000, ("no run",)),
        ("./nowhere", ("is not there",)),
        ("x/" + "a" * 5000, ("cannot be read",)),
        ("..", ("has no run.json",)),
        ("", ("has no run.json",)),
        ("/", ("has no run.json",)),
        ("/dev/null", ("is a file, not the directory of a run",)),
    ],
)
def test_what_means_no_run_says_what_there_is(folder: Path, named: str, says: tuple[str, ...]) -> None:
    with pytest.raises(NotARun) as problem:
        resolve(named, folder)
    assert all(word in str(problem.value) for word in says)
    assert "\n" not in str(problem.value)


def test_no_runs_at_all(tmp_path: Path) -> None:
    with pytest.raises(NotARun, match="rlpeaks run quickstart"):
        resolve(None, tmp_path / "runs")
    with pytest.raises(NotARun, match="none yet"):
        resolve("x", tmp_path / "runs")


def test_strange_things_in_the_folder(folder: Path) -> None:
    (folder / "notes.txt").touch()
    (folder / "empty").mkdir()
    (folder / "link").symlink_to(folder / "alpha")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "odd").mkdir()
    (folder / "odd" / "run.json").mkdir()
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe" / "run.json")
    contents = {
        "broken": b'{"schema": 1',
        "bytes": b'{"schema": 1, "name": "\xff", "created": 1}',
        "deep": b'{"schema": 1, "x": ' + b"[" * 100_000,
        "deepish": b'{"schema": 1, "name": "x", "created": 1, "config": {"x": ' + b"[" * 800 + b"]" * 800 + b"}}",
        "future": json.dumps({"schema": SCHEMA + 1, "entirely": "different"}).encode(),
        "huge": b'{"schema": %d}' % 10**300,
        "list": b"[]",
        "old": b'{"name": "x"}',
    }
    for name, raw in contents.items():
        (folder / name).mkdir()
        (folder / name / "run.json").write_bytes(raw)
    found = {f.path.name: f for f in runs(folder)}
    assert set(found) == {"alpha", "alpha-2", "beta", "link", *contents}
    assert all(found[name].info is None and found[name].trouble for name in contents)
    assert all("\n" not in found[name].trouble for name in contents)
    assert "newer rlpeaks" in found["future"].trouble and f"up to {SCHEMA}" in found["future"].trouble
    assert [f.path.name for f in runs(folder)][:2] == ["beta", "alpha-2"]
    # The newest run is one that can be opened, and a name that is damaged says so.
    assert resolve(None, folder) == folder / "beta"
    for name in contents:
        with pytest.raises(NotARun):
            resolve(name, folder)


def test_somebody_elses_private_run_hides_no_other() -> None:
    # Not in tmp_path, which nobody but its owner can enter.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for name in ("private", "shared"):
        new_run(folder / name)
    (folder / "shared").chmod(0o755)
    (folder / "shared" / "run.json").chmod(0o644)
    (folder / "private").chmod(0o000)
    try:
        with unprivileged():
            assert [f.path.name for f in runs(folder)] == ["shared"]
            for named in ("private", str(folder / "private"), str(folder / "private" / "inner")):
                with pytest.raises(NotARun, match="cannot be read: Permission denied"):
                    resolve(named, folder)
    finally:
        (folder / "private").chmod(0o700)
        shutil.rmtree(folder)


def test_a_free_name_is_one_that_nothing_has(folder: Path) -> None:
    assert free_name(folder, "gamma") == "gamma"
    assert free_name(folder, "beta") == "beta-2"
    assert free_name(folder, "alpha") == "alpha-3"
    (folder / "gamma").symlink_to("nowhere")
    assert free_name(folder, "gamma") == "gamma-2"


def test_a_command_names_a_run_so_that_it_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where its folder is the one that commands look in, the name is enough, here and by the environment.
    monkeypatch.delenv("RLPEAKS_RUNS", raising=False)
    monkeypatch.chdir(folder.parent)
    assert as_argument(Path("runs") / "beta") == "beta" == as_argument(folder / "beta")
    # Elsewhere it takes the whole path, which a shell gives on as one word whatever is in it.
    spaced = folder.parent / "my $runs"
    run = new_run(spaced / "gamma").root
    monkeypatch.chdir(folder.parent.parent)
    named = [as_argument(run), as_argument(Path(os.path.relpath(run))), as_argument(folder / "beta")]
    monkeypatch.chdir("/")
    for argument, directory in zip(named, (run, run, folder / "beta"), strict=True):
        (word,) = shlex.split(argument)
        assert resolve(word, runs_folder()) == directory
    monkeypatch.setenv("RLPEAKS_RUNS", str(spaced))
    assert as_argument(run) == "gamma"
