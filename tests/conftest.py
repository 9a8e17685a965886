"""What all tests share: hypothesis that finds the same things on every machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

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


def pytest_report_header() -> str:
    return "hypothesis: derandomized, no seed to note; a failure prints the blob that replays it"
