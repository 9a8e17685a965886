"""The command line: each verb imports what it needs when it is called, so that `--help` answers at once.

Exit status: 0 done, 1 failed, 2 the request was wrong (with one line that says what would be right).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .terminal import suit

WRONG = 2

VALUED = ("--set", "--name", "--runs", "--commands")
"""Options of `run` whose value is the next word."""


class _Parser(argparse.ArgumentParser):
    """Argparse with one plain line for a wrong request."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(WRONG, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    from . import __version__

    top = _Parser(
        prog="rlpeaks",
        description="A terminal cockpit for RL post-training: launch, watch, steer and replay runs.",
    )
    top.add_argument("--version", action="version", version=f"rlpeaks {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", required=True)

    def verb(name: str, help: str, *, run: bool | None = None) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=help, description=help)
        one.add_argument("--runs", metavar="DIR", help="folder of runs (default: $RLPEAKS_RUNS, else ./runs)")
        if run is not None:
            what = "a run's name, directory or unambiguous prefix"
            one.add_argument("run", nargs=None if run else "?", help=what if run else f"{what} (default: the newest)")
        return one

    start = verb("run", "start a training and open the cockpit on it")
    start.add_argument(
        "target", help="a run file (.yaml), a sample by name such as quickstart, or a training script (.py)"
    )
    start.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE",
                       help="change a setting of the run file, e.g. grpo.max_steps=12 (repeatable)")  # fmt: skip
    start.add_argument("--name", help="name of the run (default: that of the run file)")
    start.add_argument("--commands", metavar="FILE", help="apply the commands of an earlier run at the same steps: "
                       "its name or directory, its journal, or one JSON object a line")  # fmt: skip
    start.add_argument("--headless", action="store_true", help="plain progress lines instead of the cockpit")
    start.add_argument("--detach", action="store_true", help="start the training and return at once")

    watch = verb("watch", "open the cockpit on a run", run=False)
    watch.add_argument("--readonly", action="store_true", help="look only: send no commands")
    watch.add_argument("--inline", action="store_true", help="a few lines in the normal screen, redrawn in place")
    replay = verb("replay", "open the cockpit on a finished run", run=True)
    for one in (watch, replay):
        one.add_argument("--theme", choices=("auto", "dark", "light"), help="colours (default: as in cockpit.yaml)")
        one.add_argument("--ascii", action="store_true", help="no sign beyond ASCII")

    listing = verb("ls", "list runs and their states")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    status = verb("status", "one look at a run, without a screen", run=True)
    status.add_argument("--json", action="store_true", help="one JSON object")

    find = verb("find", "find completions by text, task, reward, step and outcome, newest first", run=True)
    find.add_argument("text", nargs="?", help="occurs in the prompt or in the completion, whatever its case")
    find.add_argument("--regex", metavar="R", help="a regular expression that is found there; (?i) first: any case")
    find.add_argument("--task", metavar="T", help="the task's name")
    find.add_argument("--reward", metavar="LOW..HIGH", help="both within; also LOW.., ..HIGH or one number")
    find.add_argument("--steps", metavar="A..B", help="first and last, likewise")
    outcome = find.add_mutually_exclusive_group()
    outcome.add_argument("--right", action="store_true", default=None, help="only those known to be right")
    outcome.add_argument("--wrong", dest="right", action="store_false", help="only those known to be wrong")
    find.add_argument("--limit", type=int, default=20, metavar="N", help="at most N of them (default: 20; 0: all)")
    find.add_argument("--json", action="store_true", help="one JSON object a line")
    find.add_argument("--tokens", action="store_true", help="also what was measured token by token, where it was kept")

    compare = verb("compare", "two runs side by side: last values, and whether they changed the same weights")
    for name in ("first", "second"):
        compare.add_argument(name, metavar="RUN", help="a run's name, directory or unambiguous prefix")
    compare.add_argument("--json", action="store_true", help="one JSON object")

    ctl = verb("ctl", "steer a run; without COMMAND: every command, what it does, and which cannot work in that run")
    # Read by `_steering` and not by argparse: what follows COMMAND is the command's, whatever it looks like.
    ctl.add_argument("run", nargs="?", metavar="RUN", help="a run's name, directory or unambiguous prefix")
    ctl.add_argument("command", nargs="?", metavar="COMMAND", help="pause, resume, reset, rollback, phase, set, ...")
    ctl.add_argument("args", nargs="*", metavar="ARG", help="of the command, its options too: reset --to base")
    ctl.add_argument("--json", action="store_true", help="one JSON object (lists: one a line)")
    ctl.add_argument("--no-wait", action="store_true", help="do not wait for the acknowledgement")
    ctl.add_argument("--timeout", type=float, default=600.0, metavar="S", help="seconds to wait (default: 600)")

    export = verb("export", "write a run's metrics to a file", run=True)
    export.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="by its ending: .csv or .jsonl, .columns.csv beside it says what each column is; - for standard output",
    )

    explain = verb("explain", "what a metric is: formula, unit, source, how it misleads")
    what = explain.add_mutually_exclusive_group()
    what.add_argument("metric", nargs="?", help="a metric's name (default: list them all)")
    what.add_argument("--markdown", action="store_true", help="every metric in full, as docs/metrics.md")
    what.add_argument("--rules", action="store_true", help="every health rule in full, as docs/health-rules.md")
    verb("doctor", "what this machine can do, and what is missing")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; gives the exit status."""
    for stream in (sys.stdout, sys.stderr):
        suit(stream)
    try:
        try:
            own, script_args = _split(list(sys.argv[1:] if argv is None else argv))
            return _verb(_parsed(own, script_args))
        finally:
            # Here and not at exit, where a closed pipe would be reported as an error.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output left, `rlpeaks ls | head` for example: nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """What follows the script in `rlpeaks run [options] SCRIPT.py ...` is the script's, whatever it looks like."""
    if argv[:1] == ["run"]:
        for at, word in enumerate(argv[1:], 1):
            if word.endswith(".py") and not word.startswith("-") and argv[at - 1] not in VALUED:
                return argv[: at + 1], argv[at + 1 :]
    return argv, []


def _parsed(argv: list[str], script_args: list[str]) -> argparse.Namespace:
    """The request. What `find` looks for may begin with a minus, and its text may follow its options."""
    if argv[:1] == ["ctl"]:
        return _steering(argv[1:])
    finding = argv[:1] == ["find"]
    if finding:
        # Argparse takes the value in `--reward -1..0` for an option.
        joined: list[str] = []
        for word in argv:
            if joined and joined[-1] in ("--reward", "--steps", "--regex", "--task") and "--" not in joined:
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        argv = joined
    top = parser()
    options, left = top.parse_known_args(argv, argparse.Namespace(script_args=script_args))
    if finding and options.text is None:
        match left:
            case ["--", text]:
                options.text, left = text, []
            case [text] if not text.startswith("-") or text[1:2].isdecimal():
                options.text, left = text, []
    if left:
        top.error(f"unrecognized arguments: {' '.join(left)}")
    return options


def _steering(argv: list[str]) -> argparse.Namespace:
    """The request of `ctl`. Its own options are its own wherever they stand, up to `--`; all else is the command's."""
    own = ["ctl"]
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        if word == "--":
            words += rest
        elif word in ("--timeout", "--runs"):
            own += [word, *[value for value in [next(rest, None)] if value is not None]]
        elif word in ("--json", "--no-wait", "--help", "-h") or word.startswith(("--timeout=", "--runs=")):
            own.append(word)
        else:
            words.append(word)
    top = parser()
    options = top.parse_args(own)
    if not words:
        top.error("ctl needs the name of a run")
    unknown = [word for word in words[:2] if word.startswith("-")]
    if unknown:
        top.error(f"ctl has no option {unknown[0]}")
    options.run, options.command, options.args = words[0], words[1] if words[1:] else None, words[2:]
    return options


def _verb(options: argparse.Namespace) -> int:
    from .run.facts import NotARun
    from .run.requests import BadCommand
    from .run.text import clean_line

    try:
        if options.verb == "run":
            from .verbs import start

            return start.run(options)
        if options.verb in ("watch", "replay"):
            from .verbs import view

            return view.watch(options)
        if options.verb == "compare":
            from .verbs import compare

            return compare.compare(options)
        if options.verb == "ctl":
            from .verbs import steer

            return steer.ctl(options)
        from .verbs import headless

        return int(getattr(headless, options.verb)(options))
    except (NotARun, BadCommand) as problem:
        print(f"rlpeaks: {clean_line(str(problem))}", file=sys.stderr)
        return WRONG


if __name__ == "__main__":
    sys.exit(main())
