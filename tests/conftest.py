"""What all tests share: hypothesis that finds the same things on every machine, and calls of the command line.

And what keeps the suite quick: the files that take longest come first, so that no process is left alone with one of
them at the end, and the million objects that importing PyTorch makes are not searched for garbage again and again.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rlpeaks_tui import cli
from tests.run_fakes import Call

# Derandomized: examples follow from the test's own source, so a failure here is a failure everywhere; the blob that is
# printed with it replays that one example with @reproduce_failure. No deadline: a busy machine is no bug.
settings.register_profile(
    "rlpeaks",
    derandomize=True,
    print_blob=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("rlpeaks")

LONGEST = (
    "processes", "steering", "steering_ranks", "repeat", "training", "scripts", "instruments", "curriculum_training",
    "end_to_end", "neutral", "cockpit_keys", "cockpit_app", "routing", "sharded", "ranks",
)  # fmt: skip

# Trainings of small tensors, two or more at once on two cores: threads within them would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Until everything is imported.
gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()


def pytest_report_header() -> str:
    return "hypothesis: derandomized, no seed to note; a failure prints the blob that replays it"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def call(runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """One call of the command line in this process: exit status, standard output, standard error."""
    monkeypatch.setenv("RLPEAKS_RUNS", str(runs))

    def run(*words: str) -> tuple[int, str, str]:
        try:
            status = cli.main(list(words))
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run
