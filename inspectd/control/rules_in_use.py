"""The rules of one engine: those of files, which are watched, and those that came over the control API.

Without any rule the engine's responder is the plain one, so that nothing is paid for rules that aren't there; with the
first one a `RuleBook` takes its place, with the plain one behind it. Rules from the control API come before those of
files. Loading happens in a thread: the data path doesn't wait for it, and a bad file or request changes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspectd.control.messages import Complaint
from inspectd.control.routing import text
from inspectd.control.rules_messages import RulesNews

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from inspectd.engine.server import Engine
    from inspectd.rules.book import Rule, RuleBook
    from inspectd.rules.file import LoadedFile, RuleFileError
    from inspectd.rules.responder import Responder
    from inspectd.rules.tables import AcceptTable, TlsTable
    from inspectd.rules.watch import Watched

CONTROL: Final = "control"
"""The name of the rules that came over the control API."""

LOOK_SECONDS: Final = 0.25
"""How often rule files are looked at."""
SETTLE_SECONDS: Final = 0.05
"""How long a file has to stay as it is before it is read: an editor may be in the middle of writing it."""
_SETTLE_LOOKS: Final = 20
_GONE_LOOKS: Final = 10
"""Looks after which a file that is empty or not there is believed to be so."""


_AGAIN_LOOKS: Final = 4
"""Looks after which a file that lacks another is read again."""
PATH_KEYS: Final = frozenset({"body-file", "body_file", "raw-file", "raw_file", "folder"})
"""Keys of rules that name another file, or a folder."""


@dataclass(slots=True)
class Source:
    """Rules that come from one place."""

    name: str
    rules: tuple[Rule, ...] = ()
    accept: AcceptTable | None = None
    tls: tuple[TlsTable, ...] = ()
    path: Path | None = None
    complaints: tuple[Complaint, ...] = ()
    """Why the newest text of the file is not in use."""


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """Rule files, loaded, and under watch since before they were read."""

    loaded: Sequence[LoadedFile]
    watched: Watched


class RulesInUse:
    """Which rules an engine answers by. Everything but loading happens in the engine's loop."""

    def __init__(self, fallback: Responder, files: RuleFiles | None = None) -> None:
        self.at_start = fallback
        """Who answered where no rule matches when the engine started."""
        self._fallback = fallback
        self._book: RuleBook | None = None
        self._engine: Engine | None = None
        self._control = Source(CONTROL)
        self._watched = None if files is None else files.watched
        loaded = [] if files is None else files.loaded
        paths = [file.path for file in loaded if file.path is not None]
        self._files = [
            Source(name, tuple(file.rules), file.accept, file.tls, path=file.path)
            for name, file in zip(_names(paths), loaded, strict=True)
        ]
        self._settled: AcceptTable | None = None
        self.accept: AcceptTable | None = None
        """What happens to connections before a byte is read."""
        self._busy = asyncio.Lock()
        self.tell: Callable[[str, object], None] = lambda name, data: None  # noqa: ARG005
        """Called with the name and the content of an event."""
        if self._files:
            self._open_book()

    def attach(self, engine: Engine) -> None:
        """Take charge of this engine, which was made with `responder`."""
        self._engine = engine
        self._settle_accept()
        self._settle_handshakes()

    # -- what there is

    @property
    def responder(self) -> Responder:
        """Who answers: a book of rules, or the plain responder while there are none."""
        return self._book or self._fallback

    @property
    def fallback(self) -> Responder:
        """Who answers where no rule matches."""
        return self._fallback

    @property
    def book(self) -> RuleBook | None:
        """The rules, when there are any."""
        return self._book

    @property
    def sources(self) -> list[Source]:
        """Where rules come from, in the order in which they are tried."""
        return [self._control, *self._files] if self._control.rules else list(self._files)

    @property
    def handshakes(self) -> tuple[TlsTable, ...]:
        """The `[[tls]]` tables of all sources, in the order of these."""
        return tuple(table for source in (self._control, *self._files) for table in source.tls)

    @property
    def handshakes_idle(self) -> bool:
        """Whether there are such tables, and the engine has no handshakes to make."""
        return bool(self.handshakes) and self._engine is not None and not self._engine.shakes_hands

    def rules_of(self, source: Source) -> tuple[Rule, ...]:
        """The rules of a source as they are in use, each with an id of its own."""
        return dict(self._book.sources).get(source.name, ()) if self._book is not None else ()

    @property
    def in_use(self) -> tuple[Rule, ...]:
        """All rules in the order in which they are tried."""
        return self._book.rules if self._book is not None else ()

    @property
    def count(self) -> int:
        """How many rules there are."""
        return sum(len(source.rules) for source in self.sources)

    @property
    def error(self) -> str | None:
        """What is wrong with changed files, a line for each problem."""
        lines = [sentence(each) for source in self._files for each in source.complaints]
        return "\n".join(lines) or None

    # -- changing it

    def set_fallback(self, responder: Responder) -> None:
        """Answer with this where no rule matches, from the next request on."""
        self._fallback = responder
        if self._book is not None:
            self._book.fallback = responder
        elif self._engine is not None:
            self._engine.set_responder(responder)

    def set_accept(self, accept: AcceptTable | None) -> None:
        """Treat the connections that come next so."""
        if self._engine is not None:
            self._engine.set_accept(accept)
        self.accept = accept

    async def put(self, load: Callable[[], Sequence[LoadedFile]], *, in_front: bool = False) -> None:
        """Put what `load` returns in the place of the rules that came over the control API, or in front of them.

        What is put in their place begins anew, also where it is the same: its calls and its places in sequences.
        `load` runs in a thread. What it raises is raised, and nothing is changed.
        """
        async with self._busy:
            loaded = await asyncio.to_thread(load)
            rules = tuple(rule for file in loaded for rule in file.rules)
            accepts = [file.accept for file in loaded if file.accept is not None]
            tls = tuple(table for file in loaded for table in file.tls)
            if in_front:
                rules += self._control.rules
                accepts += [self._control.accept] if self._control.accept is not None else []
                tls += self._control.tls
            await self._take(Source(CONTROL, rules, accepts[0] if accepts else None, tls), anew=not in_front)

    async def clear(self) -> None:
        """Remove the rules that came over the control API."""
        async with self._busy:
            await self._take(Source(CONTROL))

    async def _take(self, control: Source, *, anew: bool = False) -> None:
        self._control = control
        if anew and control.accept is not None:
            self._settled = None  # what it counts begins anew as well
        await self._changed(control, anew=anew)

    async def _changed(self, source: Source, *, anew: bool = False) -> None:
        from inspectd.rules.alone import Alone

        if self._book is None and self.count:
            await asyncio.to_thread(self._open_book)
        elif self._book is not None:
            await asyncio.to_thread(self._exchange, self._book, source, anew=anew)
        if isinstance(self._fallback, Alone):
            self._fallback.follow(self.in_use)
        if not self.sources:
            self._book = None
        if self._engine is not None and self._engine.responder is not self.responder:
            self._engine.set_responder(self.responder)
        self._settle_accept()
        self._settle_handshakes()
        self._tell()

    def _exchange(self, book: RuleBook, source: Source, *, anew: bool) -> None:
        if source is self._control and not source.rules:
            book.remove(CONTROL)
        else:
            book.replace(source.name, source.rules, first=source is self._control, anew=anew)

    def _open_book(self) -> None:
        from inspectd.rules.book import RuleBook

        book = RuleBook(self._fallback)
        for source in self.sources:
            book.replace(source.name, source.rules)
        self._book = book  # whoever sets another fallback from now on sets it here as well
        book.fallback = self._fallback

    def _tell(self) -> None:
        self.tell("rules", RulesNews(rules=self.count, error=self.error))

    def _settle_accept(self) -> None:
        """Let the first `[accept]` of the sources hold, if it is another one than before."""
        found = [source.accept for source in (self._control, *self._files) if source.accept is not None]
        accept = found[0] if found else None
        if accept != self._settled:
            self._settled = accept
            self.set_accept(accept)

    def _settle_handshakes(self) -> None:
        """Let the `[[tls]]` tables of all sources hold, in the order of their sources."""
        if self._engine is not None:
            self._engine.set_handshakes(self.handshakes)

    # -- files that change

    async def watch(self, complain: Callable[[str], None]) -> None:
        """Read files again when they change; `complain` of what is wrong with them. Runs until it is cancelled."""
        watched = self._watched
        looks = 0
        while watched is not None:
            await asyncio.sleep(LOOK_SECONDS)
            looks += 1
            changed = await asyncio.to_thread(watched.changed)
            if changed:
                changed = await _settled(watched, changed)
            elif looks % _AGAIN_LOOKS == 0:
                changed = [each.path for each in self._files if each.path is not None and _lacks_a_file(each)]
            if changed:
                for line in await self.reload(changed):
                    complain(line)

    async def reload(self, paths: Sequence[Path] | None = None) -> list[str]:
        """Read these files again, or all; what is wrong with them, a line each. What is wrong changes nothing."""
        said: list[str] = []
        async with self._busy:
            for source in self._files:
                if source.path is not None and (paths is None or source.path in paths):
                    said += await self._reload(source, source.path)
        return said

    async def _reload(self, source: Source, path: Path) -> list[str]:
        from inspectd.rules.file import RuleFileError, load_file

        before = source.complaints
        try:
            loaded = await asyncio.to_thread(load_file, path)
        except RuleFileError as error:
            source.complaints = complaints(error)
            if source.complaints == before:
                return []
            self._tell()
            return [*map(sentence, source.complaints), f"{path}: its rules from before stay in use"]
        source.rules, source.accept, source.tls = tuple(loaded.rules), loaded.accept, loaded.tls
        source.complaints = ()
        await self._changed(source)
        return [f"{path}: can be used again"] if before else []


def _names(paths: Sequence[Path]) -> list[str]:
    """What files are called: by their names, or by their whole paths where two have the same name."""
    names = [path.name for path in paths]
    return [text(str(path) if names.count(path.name) > 1 else path.name) for path in paths]


def _lacks_a_file(source: Source) -> bool:
    """Whether what is wrong with it may be mended without a change to it: it can't be read, or what it names."""
    return any(not each.line or each.key.rpartition(".")[2] in PATH_KEYS for each in source.complaints)


async def _settled(watched: Watched, changed: list[Path]) -> list[Path]:
    """The files that have changed, when they stay as they are; when they don't, after a second at the latest."""
    for look in range(_SETTLE_LOOKS):
        await asyncio.sleep(SETTLE_SECONDS)
        again = await asyncio.to_thread(watched.changed)
        changed = [*dict.fromkeys((*changed, *again))]
        hollow = await asyncio.to_thread(lambda paths: any(map(_hollow, paths)), changed)
        if not again and (not hollow or look >= _GONE_LOOKS):
            break
    return changed


def _hollow(path: Path) -> bool:
    """A file that is not there, or empty: perhaps only for a moment."""
    try:
        return path.stat().st_size == 0
    except OSError:
        return True


def complaints(error: RuleFileError) -> tuple[Complaint, ...]:
    """The problems of rules as the control API says them."""
    return tuple(
        Complaint(
            what=text(each.what),
            mend=text(each.mend),
            key=text(each.key),
            source=text(each.path),
            line=each.line or 0,
            column=each.column or 0,
        )
        for each in error.problems
    )


def sentence(complaint: Complaint) -> str:
    """A complaint as one line: `api.toml:12:8: rule[2].fault.do: what. How to mend it`. Not safe for a terminal."""
    place = complaint.source
    if complaint.line:
        place += f":{complaint.line}:{complaint.column}" if complaint.column else f":{complaint.line}"
    parts = [part for part in (place, complaint.key, complaint.what) if part]
    return ": ".join(parts) + (f". {complaint.mend}" if complaint.mend else "")
