"""The terminal UI: one viewer of a capture, and of the engine that writes it when there is one.

The screen is `shell`; here is what a person does with it. Dialogs are loaded when they are opened.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from textual import work

from inspectd.capture.reader import Capture
from inspectd.errors import InspectdError
from inspectd.tui.engine_link import EngineLink
from inspectd.tui.feed import is_finished
from inspectd.tui.shell import Shell
from inspectd.tui.subject import Subject
from inspectd.tui.theme import DARK_NAME, LIGHT_NAME
from inspectd.tui.widgets.bars import TroubleBar

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from textual.app import SystemCommand
    from textual.screen import Screen

    from inspectd.tui.held import Waiting


class InspectdApp(Shell):
    """The screen, and everything that can be done there."""

    def action_answer(self) -> None:
        """Choose another answer."""
        from inspectd.tui.screens.answer import AnswerScreen

        self.push_screen(AnswerScreen(self.link, self.answer_history), self._answered)

    def _answered(self, now: str | None) -> None:
        if now is not None:
            self.say(f"From the next request on: {now}")
            self.engine_changed()

    # being the server

    def action_hold(self) -> None:
        """Hold the next request; again: all of them; again: none."""
        if self.link.why_not:
            self.say("Can't hold requests", self.link.why_not, severity="warning")
            return
        self.hold_next(self.holding.next_step())

    def hold_next(self, count: int | None) -> None:
        """Hold the next `count` requests, None for all of them, 0 for none."""
        self.holding.mine = self.holding.mine or count != 0
        self.holding.wish(count)
        self._tell_wish()

    @work(thread=True, group="hold")
    def _tell_wish(self) -> None:
        try:
            self.holding.grant(self.link.hold_next)
        except InspectdError as problem:
            self.call_later(self.say, problem.what, problem.mend, severity="error")
        self.post_message(self.EngineSays(self.link.news, self._octets))

    def _held_here(self) -> Waiting | None:
        waiting = self.holding.now.get(self.table.selected)
        if self.link.why_not:
            self.say("Nothing waits for an answer", self.link.why_not, severity="warning")
        elif waiting is None:
            self.say("This row doesn't wait for an answer", "h holds the next request; its row says ◆ held.")
        return waiting

    def action_edit_answer(self) -> None:
        """Edit the answer of the held request the cursor is on."""
        from inspectd.tui.screens.respond import RespondScreen

        waiting = self._held_here()
        if waiting is not None:
            self.push_screen(RespondScreen(self, waiting))

    def action_release(self) -> None:
        """Send the held request its normal answer."""
        waiting = self._held_here()
        if waiting is not None:
            self.decide(lambda: self.link.release(waiting.id), self.sending(waiting, "the normal answer is"))

    def sending(self, waiting: Waiting, what: str) -> Callable[[], str]:
        """What is to be said of an answer that is sent now (`the normal answer is`); asks whether its client is there.

        What is called waits for the engine.
        """

        def said() -> str:
            newest = self.link.refresh().holds.get(waiting.id) or waiting
            if newest.client_gone:
                return f"{waiting.name}: {what} sent, but its client had closed its side before: few read on then"
            return f"{waiting.name}: {what} on {'their' if what.endswith('are') else 'its'} way"

        return said

    def release_all(self) -> None:
        """Send everything that is held, whoever held it, its normal answer, and hold no more."""
        if self.link.why_not or not self.holding.now.held:
            self.say("Nothing is held", self.link.why_not, severity="warning")
            return
        self.decide(self.link.release_all, self._sending_all)

    def _sending_all(self) -> str:
        left = sum(1 for each in self.link.refresh().holds.held if each.client_gone)
        gone = f"; {left} of the clients had closed their sides before: few read on then" if left else ""
        return f"The normal answers are sent; nothing more is held{gone}"

    def action_drop(self) -> None:
        """Close the held request's connection without a byte."""
        waiting = self._held_here()
        if waiting is not None:
            self.decide(lambda: self.link.drop(waiting.id), f"{waiting.name}: dropped, FIN without a byte")

    def action_reset(self) -> None:
        """Abort the held request's connection."""
        waiting = self._held_here()
        if waiting is not None:
            self.decide(lambda: self.link.reset(waiting.id), f"{waiting.name}: reset, RST without a byte")

    @work(thread=True, group="decide")
    def decide(
        self, do: Callable[[], None], said: str | Callable[[], str], done: Callable[[], None] | None = None
    ) -> None:
        """Do something with a held exchange and say it; `done` is called when it is done.

        What is to be said may depend on how things are right before: then it is asked for in the worker thread.
        """
        try:
            if not isinstance(said, str):
                said = said()
            do()
        except InspectdError as problem:
            self.call_later(self.say, problem.what, problem.mend, severity="error")
        else:
            self.call_later(self.clear_notifications)  # what they said of it is over
            self.call_later(self.say, said)
            if done is not None:
                self.call_later(done)
        self.post_message(self.EngineSays(self.link.refresh(), self._octets))

    def action_rules(self) -> None:
        """The rules in use, and what is wrong with a changed file."""
        from inspectd.tui.screens.rules import RulesScreen

        self.screen_stack[0].query_one(TroubleBar).dismiss()
        self.push_screen(RulesScreen(self.link))

    def action_copy(self) -> None:
        """Choose what to copy of the selected row."""
        from inspectd.tui.screens.copy import CopyScreen

        key = self.table.selected
        try:
            subject = None if key is None else Subject.load(self.capture, key)
        except InspectdError as problem:
            self.say(problem.what, problem.mend, severity="error")
            return
        if subject is None:
            self.say("There is no row to copy from yet")
            return
        value = self.detail.selected_value()
        self.push_screen(CopyScreen(self.capture, subject, value))

    def action_clear_capture(self) -> None:
        """Remove every exchange from the capture, after asking."""
        from inspectd.tui.screens.confirm import Confirm

        if self.link.why_not:
            self.say("Can't clear", self.link.why_not, severity="warning")
            return
        count = len(self.feed.all)
        question = Confirm(
            f"Remove all {count:,} rows from the capture?",
            "Their bytes are gone for good. What clients do is not disturbed.",
            yes="remove them",
        )
        self.push_screen(question, self._clear_confirmed)

    def _clear_confirmed(self, yes: bool | None) -> None:  # noqa: FBT001 - a screen's result
        if yes:
            self._clear()

    @work(thread=True, group="ask")
    def _clear(self) -> None:
        try:
            self.link.clear()
        except InspectdError as problem:
            self.call_later(self.say, problem.what, problem.mend, severity="error")
        else:
            self.call_later(self.say, "The capture is empty again")

    def action_help(self) -> None:
        """What can be done here."""
        from inspectd.tui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            return
        self.push_screen(HelpScreen(self.screen.focused))

    def action_interrupt(self) -> None:
        """Copy where something is written, which a slip must not throw away; elsewhere quit."""
        from inspectd.tui.screens.respond import RespondScreen

        if isinstance(self.screen, RespondScreen):
            self.screen.action_copy()
        else:
            self.action_leave()

    def action_leave(self) -> None:
        """Quit; ask first when that would cut an exchange that is going on."""
        from inspectd.tui.screens.confirm import Confirm

        if isinstance(self.screen, Confirm):
            self.exit(0)
            return
        going_on = self._going_on() if self.link.child is not None and not self.link.why_not else 0
        if not going_on:
            self.exit(0)
            return
        held = len(self.holding.now.held)
        answered = "what waits for you gets its normal answer, " if held else ""
        question = Confirm(
            f"Quit while {going_on} exchange{'s are' if going_on != 1 else ' is'} still going on?",
            f"The engine ends with this window: {answered}it finishes what it can, then closes. The capture stays.",
            yes="quit",
        )
        self.push_screen(question, self._leave_confirmed)

    def _leave_confirmed(self, yes: bool | None) -> None:  # noqa: FBT001 - a screen's result
        if yes:
            self.exit(0)

    def _going_on(self) -> int:
        rows = (self.feed.row(key) for key in self.feed.all[-64:] if key > 0)
        return sum(1 for row in rows if row is not None and not is_finished(row))

    @work(thread=True, exclusive=True, group="set")
    def set_answer_now(self, line: str) -> None:
        """Answer with this status line, or with the mirror, without a dialog."""
        try:
            now = self.link.set_answer(line)
        except InspectdError as problem:
            self.call_later(self.say, problem.what, problem.mend, severity="error")
        else:
            self.call_later(self._answered, now)

    def action_picture(self) -> None:
        """Save the screen as SVG."""
        self.set_timer(0.2, self._save_picture)

    def _save_picture(self) -> None:
        try:
            self.say(f"Saved {self.save_screenshot()}")
        except OSError as problem:
            self.say("Can't save the picture", str(problem), severity="error")

    def action_theme(self) -> None:
        """Dark, or light."""
        self.theme = LIGHT_NAME if self.current_theme.dark else DARK_NAME

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:  # noqa: ARG002 - Textual's
        """Every command, for the palette."""
        from inspectd.tui.commands import commands

        yield from commands(self)


def run(
    capture_path: Path, control_socket: Path | None, *, child: subprocess.Popen[bytes] | None = None
) -> int:
    """Show a capture until somebody quits; returns the exit status. The caller ends `child` and says where it is.

    `control_socket` None opens a file without an engine. What this screen held gets its normal answer when it goes, and
    that is printed. Raises `CaptureError` when the capture can't be read.
    """
    with Capture.open(capture_path) as capture:
        link = EngineLink(control_socket, child)
        app = InspectdApp(capture, link)
        status = app.run()
        if app.holding.mine:
            sys.stdout.write(let_go(link))
        return app.return_code or status or 0


def let_go(link: EngineLink) -> str:
    """Release what the screen held, now that it is gone; returns what is to be said of it."""
    try:
        released = link.release_mine()
    except (InspectdError, OSError):
        return ""  # the engine is gone, and so is everything it held
    finally:
        link.close()
    if not released:
        return ""
    return f"{released} held request{'s' if released != 1 else ''} got the normal answer\n"
