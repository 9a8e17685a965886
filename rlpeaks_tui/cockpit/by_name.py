"""Finding a command by its name: the table as Textual's command palette shows it, and how that looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from .commands import STEER, Command

if TYPE_CHECKING:
    from .app import Cockpit

STYLE = """
CommandPalette > Vertical { width: 84; max-width: 96%; background: $surface; margin-top: 2; }
CommandPalette #--input { border: none; }
CommandPalette SearchIcon { display: none; }
CommandPalette CommandInput { padding-left: 1; }
CommandPalette CommandList {
    min-width: 20;
    border-bottom: none; border-top: none; scrollbar-size-vertical: 1;
    scrollbar-color: $panel; scrollbar-color-hover: $panel; scrollbar-color-active: $panel;
    scrollbar-background: $surface; scrollbar-background-hover: $surface; scrollbar-background-active: $surface;
}
CommandPalette CommandList > .option-list--option { text-style: none; }
"""


class ByName(Provider):
    """The table as Textual's command palette shows it; what cannot be done now is grey and says why."""

    async def discover(self) -> Hits:
        for command, act, why in self._listed():
            yield DiscoveryHit(self._line(command, why), act, text=command.title, help=why or None)

    async def search(self, query: str) -> Hits:
        matcher, word = self.matcher(query), query.strip().lower()
        # Textual keeps this order among equal scores: what is called so, then what acts, then what only moves the view.
        listed = sorted(self._listed(), key=lambda each: (each[0].id != word, each[0].group != STEER))
        for command, act, why in listed:
            score = max(matcher.match(command.title), matcher.match(command.id))
            if score > 0:
                shown = self._line(command, why) if why else matcher.highlight(command.title)
                yield Hit(score, shown, act, text=self._words(command), help=why or None)

    def _listed(self) -> list[tuple[Command, Callable[[], None], str]]:
        app = self._cockpit
        skipped = {"palette", "back", "left", "right", "up", "down"}

        def doing(command: Command) -> Callable[[], None]:
            return lambda: app.action_command(command.id)

        listed = [each for each in app.table if isinstance(each, Command) and each.id not in skipped]
        return [(command, doing(command), command.refuse(app)) for command in listed]

    @property
    def _cockpit(self) -> Cockpit:
        from .app import Cockpit

        app = self.app
        assert isinstance(app, Cockpit)
        return app

    @classmethod
    def _line(cls, command: Command, why: str) -> Content:
        return Content.styled(cls._words(command), "dim" if why else "")

    @staticmethod
    def _words(command: Command) -> str:
        return f"{command.title}  ({command.shown})" if command.shown else command.title
