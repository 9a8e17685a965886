"""How fast the cockpit is and how little it writes: every figure that is promised, measured and beside its bound.

`python -m benchmarks.cockpit [NAME ...]`, with names of single measurements (`--list` names them)

What is drawn is measured in processor time, which other programs on the machine cannot stretch, inside this process.
What a person feels is measured from outside; those figures are wall clock, so they want a machine with a core to
spare.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from .cockpit_drawn import long_screens, nine_charts, one_chart, overview
from .cockpit_felt import first_paint, idle, key_to_screen, live, long_run, slow_link
from .measured_runs import Figure

ALL: dict[str, Callable[[], Iterator[Figure]]] = {
    each.__name__.replace("_", "-"): each
    for each in (one_chart, nine_charts, overview, long_screens, key_to_screen, first_paint, idle, live, slow_link,
                 long_run)
}  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    ask.add_argument("names", nargs="*", metavar="NAME", help="only these; all of them when none is named")
    ask.add_argument("--list", action="store_true", help="name every measurement and what it is")
    asked = ask.parse_args()
    if asked.list:
        for name, measure in ALL.items():
            print(f"{name:<15}{measure.__doc__}")
        return
    unknown = [name for name in asked.names if name not in ALL]
    if unknown:
        ask.error(f"no measurement named {unknown[0]}; --list names them")
    print(f"{'':<58}{'measured':>10}      {'bound':>9} {'ratio':>6}")
    for name in asked.names or ALL:
        for figure in ALL[name]():
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
