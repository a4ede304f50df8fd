"""Another answer for a held request: one to start editing from, or a rule's, which goes as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec.structs import replace
from textual import work
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from inspectd.errors import InspectdError
from inspectd.text.safe import safe
from inspectd.tui.engine_link import MIRROR
from inspectd.tui.screens.choices import SUGGESTIONS, all_rules, line_option, rule_option
from inspectd.tui.screens.dialog import Dialog
from inspectd.tui.theme import tones

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from inspectd.control.rules_messages import RuleShown, RulesShown
    from inspectd.tui.engine_link import EngineLink


@dataclass(frozen=True, slots=True)
class Picked:
    """What was chosen: a rule by its id, or bytes to edit; neither means the normal answer again."""

    data: bytes | None = None
    rule: str = ""


_HELD: Final = re.compile(r" \(held(?: [^,)]+)?\)|(?<=\()held(?: [^,)]+)?, |, held(?: [^,)]+)?(?=[,)])")
"""Where the words for an answer say that it waits, among the others in brackets."""


def not_held(answer: str) -> str:
    """A rule's answers in words, as they are when somebody picks the rule: nothing is held a second time."""
    return _HELD.sub("", answer)


class PickScreen(Dialog[Picked | None]):
    """The normal answer, some that are often wanted, and the rules."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Leave it", show=False)]

    def __init__(self, link: EngineLink) -> None:
        super().__init__()
        self._link = link
        self._lines = [line for line, _ in SUGGESTIONS if line != MIRROR]
        self._rules: list[RuleShown] = []

    def compose(self) -> ComposeResult:
        """The choices."""
        palette = tones(self.app)
        key = f"bold {palette.brand}"
        with Vertical(classes="dialog"):
            yield Static(
                Content.styled("Start from another answer", f"bold {palette.strong}"), classes="dialog-title"
            )
            yield OptionList(*self._options(), id="pick-choices", compact=True)
            yield Static("", id="pick-about", classes="dialog-text", markup=False)
            yield Static(
                Content.assemble(
                    ("enter", key), " take it   ", ("↑↓", key), " choose   ", ("esc", key), " leave it"
                ),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        """Ask which rules there are."""
        self._ask_rules()

    def _options(self) -> list[Option]:
        palette = tones(self.app)
        about = dict(SUGGESTIONS)
        normal = Content.assemble(
            ("the normal answer", f"bold {palette.brand}"), ("  as before", palette.muted)
        )
        return [Option(normal), *(line_option(line, about[line], palette) for line in self._lines)]

    @work(thread=True, group="pick")
    def _ask_rules(self) -> None:
        try:
            rules = self._link.rules()
        except InspectdError:
            return  # without them there is enough to choose from
        self.call_later(self._add_rules, rules)

    def _add_rules(self, shown: RulesShown) -> None:
        if not self.is_mounted:
            return
        palette = tones(self.app)
        self._rules = all_rules(shown)
        self.query_one(OptionList).add_options(
            [
                rule_option(replace(rule, answer=not_held(rule.answer)), palette, "sends unedited: ")
                for rule in self._rules
            ]
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        event.stop()
        at = event.option_index
        if at == 0:
            self.dismiss(Picked())
        elif at <= len(self._lines):
            self._preview(self._lines[at - 1])
        else:
            self.dismiss(Picked(rule=self._rules[at - 1 - len(self._lines)].id))

    @work(thread=True, exclusive=True, group="preview")
    def _preview(self, line: str) -> None:
        try:
            data = self._link.preview(line).data
        except InspectdError as problem:
            self.call_later(self._complain, problem.what)
        else:
            self.call_later(self._take, data)

    def _take(self, data: bytes) -> None:
        if self.is_mounted:
            self.dismiss(Picked(data))

    def _complain(self, what: str) -> None:
        if self.is_mounted:
            self.query_one("#pick-about", Static).update(
                Content.styled(safe(f"✗ {what}", doubling=False), tones(self.app).bad)
            )

    def action_cancel(self) -> None:
        """Take nothing."""
        self.dismiss(None)
