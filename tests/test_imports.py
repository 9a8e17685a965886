"""What each part of the house brings along: every import in an interpreter of its own, looked at from outside."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import rlpeaks_tui

TRAINING = {"torch", "transformers", "trl", "peft", "accelerate", "datasets"}
SCREEN = {"textual", "rich"}
HEAVY = TRAINING | SCREEN | {"numpy", "msgspec", "yaml"}
EVERYTHING = HEAVY | {"trainers"}

ROOT = Path(rlpeaks_tui.__file__).parent
SHOW = """
import sys
print(*{name.partition(".")[0] for name in sys.modules})
print(*{"loaded:" + name for name in sys.modules if name.startswith("rlpeaks_tui.")})
"""


def modules(part: str) -> list[str]:
    """Every module of a part, itself included."""
    path = ROOT / part
    if path.is_file():
        return [f"rlpeaks_tui.{path.stem}"]
    return [f"rlpeaks_tui.{part}", *(f"rlpeaks_tui.{part}.{m.name}" for m in pkgutil.iter_modules([str(path)]))]


def loaded(code: str) -> set[str]:
    """Top-level packages that an interpreter has after running `code`."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{SHOW}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("part", "forbidden"),
    [
        ("run", TRAINING | SCREEN | {"yaml"}),
        ("stats", TRAINING | SCREEN | {"yaml"}),
        ("launch", TRAINING | SCREEN),
        ("config.py", TRAINING | SCREEN | {"numpy"}),
        ("verbs", TRAINING | SCREEN),
        ("cockpit", TRAINING),
    ],
)
def test_a_part_brings_along_nothing_that_it_must_not_know(part: str, forbidden: set[str]) -> None:
    names = modules(part)
    assert names
    found = loaded("\n".join(f"import {name}" for name in names))
    assert {f"loaded:{name}" for name in names} <= found
    assert found & forbidden == set()


def test_the_ground_floor_imports_no_other_floor() -> None:
    for part, own in (("run", {"run"}), ("stats", {"stats"})):
        found = loaded("\n".join(f"import {name}" for name in modules(part)))
        floors = {name.split(".")[1] for name in found if name.startswith("loaded:")}
        assert floors == own


def test_the_cockpit_does_not_know_the_training_side() -> None:
    found = loaded("\n".join(f"import {name}" for name in modules("cockpit")))
    floors = {name.split(".")[1] for name in found if name.startswith("loaded:")}
    assert floors & {"instrument", "verbs", "cli"} == set()


def test_the_package_and_the_command_line_load_nothing() -> None:
    assert loaded("import rlpeaks_tui") & EVERYTHING == set()
    assert loaded("import rlpeaks_tui.cli") & EVERYTHING == set()


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["find", "--help"], ["nonsense"], []])
def test_help_and_a_wrong_request_load_nothing_heavy(words: list[str]) -> None:
    code = f"""
from rlpeaks_tui.cli import main
import contextlib, io
out = io.StringIO()
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
    main({words!r})
"""
    assert loaded(code) & EVERYTHING == set()


def test_each_verb_loads_only_what_it_needs(tmp_path: Path) -> None:
    code = f"""
from rlpeaks_tui.cli import main
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    main(["ls", "--runs", {str(tmp_path)!r}])
    main(["explain", "reward"])
"""
    assert loaded(code) & (TRAINING | SCREEN | {"yaml"}) == set()
