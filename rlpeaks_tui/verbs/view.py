"""`rlpeaks watch` and `rlpeaks replay`: the cockpit on a run."""

from __future__ import annotations

import argparse
import sys

from ..run.registry import resolve, runs_folder


def watch(options: argparse.Namespace) -> int:
    """Open the cockpit; `replay` is the same with commands switched off."""
    directory = resolve(options.run, runs_folder(options.runs))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("rlpeaks: the cockpit needs a terminal; `rlpeaks status` works without one", file=sys.stderr)
        return 2
    from ..cockpit import watch as open_cockpit

    readonly = options.verb == "replay" or options.readonly
    return open_cockpit(directory, readonly=readonly, ascii_only=options.ascii, theme=options.theme)
