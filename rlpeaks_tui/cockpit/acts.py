"""What the keys for the training do: ask the question that belongs to a command, and send what was answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import questions, whereabouts
from .advice import advised, awaited, lacking, remedy
from .card import ROOMY
from .form import Question, Values
from .panels import checks
from .questions import Make
from .screens.ask import Confirm
from .screens.dialog import Dialog
from .screens.overview import Overview
from .steering import doubted, said

if TYPE_CHECKING:
    from .app import Cockpit
    from .reader import Reading

QUESTIONS: dict[str, Make] = {
    "pause": questions.pause,
    "reset": questions.reset,
    "rollback": questions.roll_back,
    "phase": questions.curriculum,
    "set": questions.change,
    "undo": questions.undo,
    "checkpoint": questions.save,
    "note": questions.note,
    "sync-ref": questions.sync_reference,
    "eval": questions.evaluate,
    "probe": questions.probe,
    "step": questions.step,
}


def refusal(app: Cockpit, verb: str) -> str:
    """Why a command cannot be given now; empty when it can."""
    why = app.steering.refusal(app.snapshot, verb)
    return why or (lacking(verb, app.snapshot) if app.snapshot is not None else "")


def send(app: Cockpit, verb: str, *args: str) -> None:
    """Send a command to the run, which may have ended while somebody thought about it."""
    app.say(app.steering.refusal(app.snapshot, verb) or app.steering.send(verb, *args))
    app.look_again()


def show_effect(app: Cockpit) -> None:
    """The card of the newest command that changed something; when one is shown, that of the one before it."""
    why = app.aftermath.recall(app.snapshot)
    if why:
        app.say(why)
    app.look_again()


def hear(app: Cockpit, reading: Reading) -> None:
    """Answers to commands of ours, whether they helped, and that the run has ended under a question."""
    for mark in app.steering.answers(reading.snapshot):
        app.notice = said(mark)
        if doubted(mark):
            app.doubts.append(mark)
    if not reading.loading:
        app.aftermath.meet(reading.snapshot)
    over = isinstance(app.stage, Overview) and app.size.width >= ROOMY
    app.notice = app.aftermath.take(reading.snapshot, reading.effects, over, app.look.effect) or app.notice
    # Nothing comes up over another question: keys meant for that one would answer it.
    if app.doubts and app.screen_stack and app.screen_stack[-1] is app.stage:
        mark = app.doubts.pop(0)
        insist(app, (mark.verb, *mark.args), mark.why.partition(";")[0])
    top = app.screen_stack[-1] if app.screen_stack else None
    if isinstance(top, Dialog | Confirm) and not reading.snapshot.live:
        top.dismiss(None)
        app.notice = f"the run has ended meanwhile: it is {reading.snapshot.state}; the question is closed"
    elif isinstance(top, Dialog):
        top.renew()


def ask(app: Cockpit, verb: str, given: Values | None = None) -> None:
    """Ask the question of a command, and send it when it is answered."""
    make = QUESTIONS[verb]

    def now() -> Question:
        assert app.reading is not None, "refused before anything was read"
        snapshot = app.reading.snapshot
        return questions.offering(make(snapshot, app.reading.rates), snapshot, given or {})

    def answered(words: tuple[str, ...] | None) -> None:
        if not words:
            return
        # At once, while the person still looks: the training asks by the same rule, but only at its next safe point.
        if app.snapshot is not None and (far := questions.doubt(app.snapshot, words)):
            insist(app, words, far)
        else:
            send(app, *words)

    app.push_screen(Dialog(app.palette, app.look.ascii_only, now, given), answered)
    app.look_again()


def pause(app: Cockpit) -> None:
    """Ask before the training is held; what is held goes on at once."""
    if app.snapshot is not None and app.snapshot.state == "paused":
        send(app, "resume")
    else:
        ask(app, "pause")


def stop(app: Cockpit) -> None:
    step = f" (now at step {app.snapshot.step:,})" if app.snapshot else ""
    says = (
        f"At its next safe point{step} the run saves a checkpoint, ends cleanly with exit status 0, and "
        "does not go on by itself. Everything recorded so far stays."
    )
    _confirm(app, Confirm("Stop the training?", says, "stop it", "leave it running"), lambda: send(app, "stop"))


def insist(app: Cockpit, words: tuple[str, ...], far: str) -> None:
    """Ask about a value that is far from the present one, and send it as one that is meant."""
    # It comes up by itself, so it takes no enter that was meant for something else.
    question = Confirm(f"{' '.join(words)}: is that meant?", f"{far}.", "send it all the same", "leave it as it is")
    _confirm(app, question, lambda: send(app, *words, "--yes"))


def _confirm(app: Cockpit, question: Confirm, act: Callable[[], None]) -> None:
    def answered(yes: bool | None) -> None:
        if yes:
            act()

    app.push_screen(question, answered)


def follow_advice(app: Cockpit) -> None:
    """Open the question of what the verdict advises, filled in as far as the advice goes; of a rank that is stuck it
    advises to see where it stands."""
    if _stuck(app):
        whereabouts.show(app)
        return
    verb, given = remedy(advice(app))
    if verb in ("pause", "stop"):
        {"pause": pause, "stop": stop}[verb](app)
    else:
        ask(app, verb, given)


def no_advice(app: Cockpit) -> str:
    """Why there is nothing to follow; empty when there is."""
    if _stuck(app):
        return whereabouts.refusal(app)
    if not advice(app):
        if sent := _awaited(app):
            return f"waiting for the effect of {sent}"
        return f"the {'picked check' if app.enlarged == 'checks' else 'verdict'} advises no command"
    return refusal(app, advice(app).split(" ")[0])


def _awaited(app: Cockpit) -> str:
    """The command whose effect is waited for before another one is advised; empty where there is none."""
    if app.reading is None:
        return ""
    if app.enlarged == "checks" and app.scene is not None:
        return checks.waiting(app.scene)
    return awaited(app.reading.snapshot, app.reading.health.findings)


def _stuck(app: Cockpit) -> bool:
    return app.snapshot is not None and bool(app.snapshot.pace.ranks)


def advice(app: Cockpit) -> str:
    """The command that the verdict advises, in the panel of the checks the picked one; empty when there is none, as
    where a rank is stuck."""
    if app.reading is None or _stuck(app):
        return ""
    if app.enlarged == "checks" and app.scene is not None:
        return checks.advice(app.scene)
    return advised(app.reading.snapshot, app.reading.health.findings)
