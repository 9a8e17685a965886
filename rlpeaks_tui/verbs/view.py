"""`rlpeaks watch` and `rlpeaks replay`: the cockpit on a run."""

from __future__ import annotations

import argparse
import sys

from ..run.registry import as_argument, resolve, runs_folder


def watch(options: argparse.Namespace) -> int:
    """Open the cockpit; `replay` is the same with commands switched off."""
    directory = resolve(options.run, runs_folder(options.runs))
    inline = options.verb == "watch" and options.inline
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        what = (
            "--inline redraws its lines in place, which needs a terminal" if inline else "the cockpit needs a terminal"
        )
        print(f"rlpeaks: {what}; `rlpeaks status {as_argument(directory)}` works without one", file=sys.stderr)
        return 2
    if inline:
        from ..cockpit.inline import watch as watch_inline

        return watch_inline(directory, ascii_only=options.ascii)
    from ..cockpit import watch as open_cockpit

    readonly = options.verb == "replay" or options.readonly
    return open_cockpit(directory, readonly=readonly, ascii_only=options.ascii, theme=options.theme)
