"""Where a person looks: at which run, which panel, which of its stories, which line of a list, and one layer out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from rlpeaks_tui.run.layout import Layout

from . import plan, verdict
from .browse.query import Mistake
from .panels import BY_ID
from .screens.ask import Filter
from .screens.browser import Browser
from .screens.enlarged import Enlarged
from .screens.runs import Runs

if TYPE_CHECKING:
    from .app import Cockpit


def select(app: Cockpit, panel: str) -> None:
    """Focus a panel; the one in focus already is enlarged; in an enlarged view the other panel takes its place."""
    again = panel == app.view.panel and app.chosen
    app.chosen = True
    elsewhere = panel not in plan.overview(*app.size) and roomy(app)
    if isinstance(app.stage, Enlarged | Browser) or again or elsewhere:
        open_panel(app, panel)
    else:
        app.overview.feature(panel)
        app.look_at(panel=panel)


def roomy(app: Cockpit) -> bool:
    """Whether the overview shows several panels, so that one that it leaves out has to be enlarged to be seen."""
    return "reward" in plan.overview(*app.size, shown="kl")


def feature(app: Cockpit) -> None:
    """On a small screen, draw the panel that the verdict speaks of until the person chooses another."""
    reading = app.reading
    if app.chosen or reading is None or roomy(app):
        return
    panel = verdict.speaks_of(reading.snapshot, reading.health)
    if panel in BY_ID and panel != app.view.panel:
        app.view = replace(app.view, panel=panel)
        app.overview.feature(panel)


def choose_run(app: Cockpit) -> None:
    """The list of all runs, over the one that is shown."""
    here = app.directory.absolute()

    def chosen(directory: Path | None) -> None:
        if directory is not None and directory != here:
            app.open_run(directory)
        else:
            app.repaint()

    app.push_screen(Runs(app.palette, app.look.ascii_only, here.parent, here), chosen)


def toggle(app: Cockpit) -> None:
    """Enlarge the panel in focus, or close the one that is enlarged, with its filter."""
    if isinstance(app.stage, Enlarged):
        app.pop_screen()
        app.look_at(scroll=0, filter="")
    elif isinstance(app.stage, Browser):
        back(app)
    else:
        enlarge(app, app.view.panel)


def enter(app: Cockpit) -> None:
    """Enlarge the panel in focus; in a list of an enlarged panel, what is picked: its completions, or its chart."""
    stage, scene = app.stage, app.scene
    panel = BY_ID[stage.panel] if isinstance(stage, Enlarged) else None
    query = panel.story(app.view).query if panel else None
    if panel and panel.one_list:
        tell(app, 1)
    elif query is None and panel and panel.listing:
        app.say("nothing to open here")
    elif query is None or scene is None:
        toggle(app)
    elif wanted := query(scene):
        read(app, wanted)
    else:
        app.say("no completion that is kept belongs to this row")


def open_panel(app: Cockpit, panel: str) -> None:
    """A panel on a screen of its own, whatever is there now."""
    if isinstance(app.stage, Browser) and panel != "completion":
        app.pop_screen()
    if isinstance(app.stage, Enlarged) and panel != "completion":
        _replace(app, app.stage, panel)
    else:
        enlarge(app, panel)


def read(app: Cockpit, line: str) -> None:
    """The completions that a line of the browser's query asks for."""
    try:
        if isinstance(app.stage, Browser):
            app.stage.find(line)
            return
        browser = Browser(app.palette, Layout(app.directory), line)
    except Mistake as mistake:
        app.say(str(mistake))
        return
    app.push_screen(browser)
    app.call_after_refresh(app.repaint)


def enlarge(app: Cockpit, panel: str) -> None:
    if panel == "completion":
        # Over an enlarged panel, which stays what it is, or over the overview.
        if not isinstance(app.stage, Enlarged | Browser):
            app.look_at(panel=panel)
        read(app, "")
        return
    app.overview.feature(panel)
    app.magnifier.panel = panel
    app.push_screen("enlarged")
    app.look_at(panel=panel, scroll=0, filter="", story=0)


def _replace(app: Cockpit, stage: Enlarged, panel: str) -> None:
    stage.panel = panel
    app.look_at(panel=panel, scroll=0, filter="", story=0)


def tell(app: Cockpit, on: int) -> None:
    """The next story of the enlarged panel, or the one before; from the overview, the panel in focus enlarged."""
    if isinstance(app.stage, Browser):
        app.stage.action_shade(on)
    elif not isinstance(app.stage, Enlarged):
        enlarge(app, app.view.panel)
    elif len(BY_ID[app.stage.panel].stories) == 1:
        app.say("this panel has one view only")
    else:
        turn_to(app, app.stage.panel, app.view.story + on)


def turn_to(app: Cockpit, panel: str, story: int) -> None:
    """Another story of an enlarged panel, from the top of its list where that is another one."""
    app.look_at(story=story, scroll=app.view.scroll if BY_ID[panel].one_list else 0)


def back(app: Cockpit) -> None:
    """One layer out: the notice and the card, the filter, the enlarged panel, then the cursor."""
    if app.hush():
        return
    if app.view.filter:
        app.look_at(filter="", scroll=0)
    elif isinstance(app.stage, Browser):
        app.pop_screen()
        app.look_at()
    elif isinstance(app.stage, Enlarged):
        app.pop_screen()
        app.look_at(scroll=0)
    elif app.view.cursor is not None or app.view.held:
        app.snap_to_live()


def move(app: Cockpit, right: int, down: int) -> None:
    """To the next panel in a direction; in an enlarged panel a step in time, or a line of its list."""
    if isinstance(app.stage, Enlarged):
        if right:
            app.go_to(app.step + right)
        else:
            _scroll(app, app.stage, down)
        return
    places = {name: place for name, place in plan.overview(*app.size).items() if name in BY_ID}
    if not roomy(app):
        order = list(BY_ID)
        panel = order[(order.index(app.view.panel) + (right or down)) % len(order)]
    else:
        panel = plan.nearest(places, app.view.panel, right, down)
    app.chosen = True
    app.overview.feature(panel)
    app.look_at(panel=panel)


def page(app: Cockpit, down: int) -> None:
    """A screenful of an enlarged list."""
    if isinstance(app.stage, Enlarged):
        _scroll(app, app.stage, down * max(1, app.size.height - 8))


def _scroll(app: Cockpit, stage: Enlarged, down: int) -> None:
    # A console shows its end, so that scrolling goes up from there.
    on = -down if stage.panel == "console" else down
    if on < 0 or stage.below:
        app.look_at(scroll=max(0, app.view.scroll + min(on, stage.below)))


def search(app: Cockpit) -> None:
    """Filter the list of an enlarged panel; from elsewhere, the table of metrics."""
    stage = app.stage
    if isinstance(stage, Browser):
        stage.action_ask()
        return
    if not (isinstance(stage, Enlarged) and BY_ID[stage.panel].listing):
        app.chosen = True
        if isinstance(stage, Enlarged):
            _replace(app, stage, "metrics")
        else:
            enlarge(app, "metrics")

    def narrow(text: str | None) -> None:
        if text is not None:
            app.look_at(filter=text, scroll=0)

    app.push_screen(Filter(app.view.filter, narrow), narrow)
