"""The question that each command asks before it is sent: what can be chosen, what will happen, what undoes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from rlpeaks_tui.phases import Phase
from rlpeaks_tui.run import present
from rlpeaks_tui.run.bounds import RATE, bounds_of
from rlpeaks_tui.run.bounds import far as far_from
from rlpeaks_tui.run.entries import Checkpoint
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.marks import CommandMark
from rlpeaks_tui.run.rates import in_force
from rlpeaks_tui.run.requests import BASE, BadCommand, Set, request

from .curriculum import mix, phases_of, weights
from .expected import Rates, expected
from .form import Blank, Choice, Option, Question, Values
from .words import ago, asked, outcome, plural, setting, size

Make = Callable[[Snapshot, Rates | None], Question]

OFFERED = 6
"""Checkpoints that a question lists."""

UNDO = "Can be undone: what is needed to come back is written first."
CHANGING = ("reset", "sync-ref", "rollback", "phase", "set")
"""Commands that change weights or settings, which `undo` takes back."""


def reset(snapshot: Snapshot, rates: Rates | None) -> Question:
    start = Option(BASE, "the weights that the run started from")
    saved = {checkpoint.name: checkpoint for checkpoint in snapshot.restorable}

    def words(values: Values) -> Sequence[str]:
        found = ["reset", "--to", values["to"]]
        if values["share"].strip() not in ("1", "1.0", ""):
            found += ["--blend", values["share"].strip()]
        if values["layers"].strip() not in ("*", ""):
            found += ["--layers", values["layers"].strip()]
        return [*found, "--keep-optimizer"] if values["optimizer"] == "is kept" else found

    def says(values: Values) -> Sequence[str]:
        where = f"step {saved[values['to']].step:,}" if values["to"] in saved else "the start"
        share, layers = values["share"].strip(), values["layers"].strip()
        what = "The policy's weights" if layers in ("*", "") else f"The policy's weights in {layers}"
        how = f"become those of {where}"
        if share not in ("1", "1.0", ""):
            how = f"become {share} of those of {where} and the rest of what they are now"
        optimizer = "The optimizer keeps its state." if values["optimizer"] == "is kept" else "The optimizer restarts."
        return [f"{what} {how}. {optimizer} Steps, data and curriculum go on as they are.", UNDO]

    return Question(
        "Reset the policy",
        says,
        words,
        "reset it",
        (
            Choice("to", "back to", (start, *_saved(snapshot))),
            Blank("share", "how far", "1", "1: wholly back, 0.5: half way", 20),
            Blank("layers", "layers", "*", "such as *layers.0.*; *: all", 20),
            Choice("optimizer", "optimizer", (Option("begins afresh"), Option("is kept")), inline=True),
        ),
    )


def roll_back(snapshot: Snapshot, rates: Rates | None) -> Question:
    saved = {checkpoint.name: checkpoint for checkpoint in snapshot.restorable}

    def says(values: Values) -> Sequence[str]:
        name = values["checkpoint"]
        at = saved[name].step if name in saved else 0
        return [
            f"Everything goes back to step {at:,}: model, optimizer, schedule, curriculum, random state. The run goes "
            f"on from there as {_next_branch(snapshot)}; what it leaves stays on disk, and on the charts, dashed.",
            UNDO,
        ]

    def shows(values: Values) -> Sequence[tuple[str, str]]:
        name = values["checkpoint"]
        told = _returning(snapshot, saved[name]) if name in saved else ""
        return [("settings", told)] if told else []

    return Question(
        "Roll back to a checkpoint",
        says,
        lambda values: ["rollback", values["checkpoint"]],
        "roll back",
        (Choice("checkpoint", "to", _saved(snapshot)),),
        shows,
    )


def curriculum(snapshot: Snapshot, rates: Rates | None) -> Question:
    phases = phases_of(snapshot)
    names = [phase.name for phase in phases]
    phase = present.phase(snapshot)
    here = names.index(phase) if phase in names else 0
    around = {"next": here + 1, "prev": here - 1}
    options = [Option(word, names[at]) for word, at in around.items() if 0 <= at < len(names)]
    options += [Option("auto", "each phase ends by its own rule again")]
    options += [Option(name, mix(phase), i == here) for i, (name, phase) in enumerate(zip(names, phases, strict=True))]
    # What is not there comes last, so that enter never stands on it unasked.
    options += [Option(word, "there is none", off=True) for word, at in around.items() if not 0 <= at < len(names)]

    def chosen(values: Values) -> Phase | None:
        to = values["to"]
        at = around.get(to, names.index(to) if to in names else -1)
        return phases[at] if 0 <= at < len(phases) else None

    def shows(values: Values) -> Sequence[tuple[str, str]]:
        phase = chosen(values)
        if phase is None:
            return []
        settings = ", ".join(f"{name} {value:g}" for name, value in phase.settings.items())
        ends = " or ".join(phase.ends()) or ("by hand only" if phase is not phases[-1] else "it is the last one")
        return [
            ("mix", mix(phase)),
            ("expected", expected(weights(phase), rates)),
            ("settings", settings or "none of its own"),
            ("ends", ends),
        ]

    def says(values: Values) -> Sequence[str]:
        if values["to"] == "auto":
            return ["The phases follow their own rules again, from the present one on.", UNDO]
        phase = chosen(values)
        if phase is None:
            return [f"There is no phase {'after' if values['to'] == 'next' else 'before'} the present one.", ""]
        told = "Prompts that were generated already keep the label of the phase they were drawn for."
        return [f"The next generation draws from {phase.name}. {told}", UNDO]

    def words(values: Values) -> Sequence[str]:
        if values["to"] in around and chosen(values) is None:
            raise BadCommand(f"there is no {values['to']} phase")
        return ["phase", values["to"]]

    choice = Choice("to", "phase", tuple(options))
    return Question("Switch the curriculum", says, words, "switch", (choice,), shows, rates=True)


def change(snapshot: Snapshot, rates: Rates | None) -> Question:
    now, fixed = settable(snapshot), unsettable(snapshot)
    options = [Option(name, setting(value)) for name, value in now.items()]
    options += [Option(name, why, off=True) for name, why in fixed.items()]

    def words(values: Values) -> Sequence[str]:
        name, text = values["key"], values["value"].strip()
        if name in fixed:
            raise BadCommand(f"{name} cannot be changed in this run: {fixed[name]}")
        if not text:
            raise BadCommand("type the new value")
        return ["set", f"{name}={text}"]

    def says(values: Values) -> Sequence[str]:
        name, new = values["key"], values["value"].strip()
        if name in fixed:
            return []
        now_it_is = f"{name} is {setting(now.get(name))} now"
        goes = f"{now_it_is}, and {new} from the next generation on." if new else f"{now_it_is}."
        bounds = bounds_of(name)
        may = f" It may be {bounds}." if bounds is not None else ""
        far = doubt(snapshot, ["set", f"{name}={new}"])
        asked = " That is far from it, and is asked about once more." if far else ""
        return [f"{goes}{may}{asked}", "Can be undone."]

    return Question(
        "Change a setting",
        says,
        words,
        "change it",
        (Choice("key", "setting", tuple(options)), Blank("value", "new value", "", "a number, such as 1e-4", 16)),
        typed="value",
    )


def undo(snapshot: Snapshot, rates: Rates | None) -> Question:
    last = to_undo(snapshot)

    def shows(values: Values) -> Sequence[tuple[str, str]]:
        if last is None:
            return []
        changed = [("what it did", outcome(last))] if outcome(last) else []
        return [(f"command {last.number}", f"{asked(last)}, at step {last.step:,}"), *changed]

    def says(values: Values) -> Sequence[str]:
        if last is None or last.verb in ("set", "phase"):
            return [
                "Settings and curriculum are again what they were before it. The training goes on from where it is."
            ]
        return [
            f"Everything goes back to step {last.step:,}, just before it, and goes on from there as "
            f"{_next_branch(snapshot)}. What is left stays on disk, and on the charts, dashed."
        ]

    return Question(
        "Undo the last change",
        says,
        lambda values: ["undo"],
        "undo it",
        shows=shows,
    )


def save(snapshot: Snapshot, rates: Rates | None) -> Question:
    return Question(
        "Write a checkpoint",
        lambda values: [
            "Model, optimizer, schedule, curriculum and random state are written at the next safe point, to roll back "
            "or reset to later. The training waits meanwhile."
        ],
        lambda values: ["checkpoint", *([values["name"].strip()] if values["name"].strip() else [])],
        "write it",
        (Blank("name", "name", "", "empty: the run chooses one", 28),),
    )


def note(snapshot: Snapshot, rates: Rates | None) -> Question:
    def words(values: Values) -> Sequence[str]:
        if not values["text"].strip():
            raise BadCommand("type a text")
        return ["note", values["text"].strip()]

    return Question(
        "Put a note on the timeline",
        lambda values: ["It stands at the step that the run has reached when it reads it. It changes nothing."],
        words,
        "put it there",
        (Blank("text", "note"),),
    )


def pause(snapshot: Snapshot, rates: Rates | None) -> Question:
    says = (
        f"At its next safe point (now at step {snapshot.step:,}) the training holds. Its processes stay, with the "
        "memory that they have taken."
    )
    undone = "The same key resumes it from there; nothing is lost."
    return _plain("Pause the training", says, ("pause",), "pause it", undone)


def sync_reference(snapshot: Snapshot, rates: Rates | None) -> Question:
    return _plain(
        "Make the current policy the reference",
        "The KL penalty is measured from the policy as it is now, and the optimizer restarts (ProRL's reset). Weights "
        "and KL to the starting weights stay.",
        ("sync-ref",),
        "sync it",
        UNDO,
    )


def evaluate(snapshot: Snapshot, rates: Rates | None) -> Question:
    return _plain(
        "Measure on held-out prompts",
        "The policy answers the held-out prompts at the next safe point. The training waits; nothing changes.",
        ("eval",),
        "measure",
    )


def probe(snapshot: Snapshot, rates: Rates | None) -> Question:
    last = {name: present.probe(snapshot, name, snapshot.step) for name in sorted(snapshot.probes)}
    known = tuple(
        Option(name, f"last at step {seen.step:,}" if seen else "not since the run went back")
        for name, seen in last.items()
    )
    field = Choice("name", "probe", known) if known else Blank("name", "probe", "", "such as calibration", 28)
    return Question(
        "Run a probe",
        lambda values: ["It measures at the next safe point, whatever the budget. It changes nothing."],
        lambda values: ["probe", values["name"].strip()],
        "run it",
        (field,),
    )


def step(snapshot: Snapshot, rates: Rates | None) -> Question:
    return Question(
        "Train for some steps and hold",
        lambda values: [
            "The run goes on for that many steps and holds again at a safe point. Pause lets it go on for good."
        ],
        lambda values: ["step", values["steps"].strip()],
        "go on",
        (Blank("steps", "steps", "1", "how many", 12),),
    )


def _plain(title: str, says: str, words: tuple[str, ...], yes: str, undone: str = "") -> Question:
    return Question(title, lambda values: [text for text in (says, undone) if text], lambda values: words, yes)


def doubt(snapshot: Snapshot, words: Sequence[str]) -> str:
    """Why a command may be a slip of the hand, by the training's own rule; empty where there is no doubt."""
    try:
        asked = request(words[0], words[1:])
    except BadCommand:
        return ""
    if not isinstance(asked, Set) or asked.sure:
        return ""
    return far_from(asked.key, settable(snapshot).get(asked.key), asked.value)


def settable(snapshot: Snapshot) -> dict[str, float | int]:
    """The settings in force that are numbers."""
    values = dict(snapshot.settings[-1].v) if snapshot.settings else {}
    if RATE in values:
        values[RATE] = in_force(snapshot)
    return {
        name: value for name, value in values.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }


def unsettable(snapshot: Snapshot) -> dict[str, str]:
    """The settings that cannot be changed in this run, each with the reason."""
    cannot = snapshot.settings[-1].cannot if snapshot.settings else {}
    return {name.removeprefix("set "): why for name, why in cannot.items() if name.startswith("set ")}


def _returning(snapshot: Snapshot, saved: Checkpoint) -> str:
    """The settings that come back with a checkpoint, as journaled when it was written; empty where that is unknown."""
    then = next((told.v for told in reversed(snapshot.settings) if told.t <= saved.t), None)
    if then is None:
        return ""
    changed = [(name, now, then[name]) for name, now in snapshot.settings[-1].v.items() if then.get(name, now) != now]
    return ", ".join(f"{name} {setting(now)} → {setting(back)}" for name, now, back in changed) or "as they are now"


def _next_branch(snapshot: Snapshot) -> str:
    # As the training process counts them; the trunk is the first.
    return f"branch-{len(snapshot.branches) + 2}"


def to_undo(snapshot: Snapshot) -> CommandMark | None:
    """The command that `undo` would take back: the last one that changed something and was not taken back yet."""
    done: list[CommandMark] = []
    for command in snapshot.commands:
        if command.status == "applied" and command.verb in CHANGING:
            done.append(command)
        elif command.status == "applied" and command.verb == "undo" and done:
            done.pop()
    return done[-1] if done else None


def offering(question: Question, snapshot: Snapshot, given: Values) -> Question:
    """The question with the checkpoint that is `given` among its options, first, where it is too old to be listed."""
    saved = {checkpoint.name: checkpoint for checkpoint in snapshot.restorable}

    def with_it(field: Choice | Blank) -> Choice | Blank:
        name = given.get(field.name, "")
        if not isinstance(field, Choice) or name not in saved or name in [option.value for option in field.options]:
            return field
        return replace(
            field, options=(Option(name, _about(saved[name], _firing(snapshot, saved[name]))), *field.options)
        )

    return replace(question, fields=tuple(with_it(field) for field in question.fields))


def _saved(snapshot: Snapshot) -> tuple[Option, ...]:
    """The newest checkpoints on disk, with step, age and size; as many as a small screen has room for."""
    newest = list(reversed(snapshot.restorable))[:OFFERED]
    older = len(snapshot.restorable) - len(newest)
    told = [_about(saved, _firing(snapshot, saved)) for saved in newest]
    if older:
        told[-1] += f"  and {older} older, by `rlpeaks ctl`"
    return tuple(Option(saved.name, about) for saved, about in zip(newest, told, strict=True))


def _about(saved: Checkpoint, firing: int) -> str:
    about = f"step {saved.step:>6,}  {size(saved.bytes):>7}  {ago(time.time() - saved.t)}"
    return f"{about}  while {plural(firing, 'check')} fired" if firing else about


def _firing(snapshot: Snapshot, saved: Checkpoint) -> int:
    """How many checks fired when a checkpoint was written."""
    state = {alert.rule: alert.on for alert in snapshot.alerts if alert.t <= saved.t}
    return sum(state.values())
