"""An answer without an end that the client leaves isn't cut short; one that has an end is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.answered import client_left
from inspectd.capture.findings import marks, outstanding
from inspectd.capture.model import State
from inspectd.cli.lines import PlainLines
from inspectd.cli.output import painter
from inspectd.rules.answer import make_answer
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_text
from inspectd.rules.responder import Fixed
from inspectd.tui.feed import Feed
from inspectd.tui.widgets.columns import columns_for, row_cells

if TYPE_CHECKING:
    from inspectd.capture.model import EvidenceRow, ExchangeRow

GET = b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\nAccept: */*\r\n\r\n"
ENDLESS = '[[rule]]\nevents = { send = ["tick"], every = "50ms", repeat = true }\n'
SLOW = '[[rule]]\nbody = "0123456789"\npace = { body = "1B/10s" }\n'


def _book(text: str) -> RuleBook:
    rules = RuleBook(Fixed(make_answer("200 OK")))
    rules.replace("api.toml", load_text(text, source="api.toml", base=Path("/nowhere")).rules)
    return rules


@pytest.mark.parametrize(
    ("rules", "until", "said"), [(ENDLESS, b"tick", "· client left"), (SLOW, b"\r\n\r\n", "✗ cut short")]
)
async def test_leaving_what_has_no_end_cuts_nothing_off(
    run_engine: Any, rules: str, until: bytes, said: str
) -> None:
    async with run_engine(_book(rules)) as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(until)
        await client.close()
        await running.closed()

        def known() -> EvidenceRow | None:
            found: EvidenceRow | None = running.capture.evidence(1)
            return found if found is not None and found.ended_by is not None else None

        evidence = await running.eventually(known)
        row: ExchangeRow = running.capture.exchange(1)
        assert row.state & State.ABORTED
        left = said == "· client left"
        assert client_left(row, evidence) is left

        line = PlainLines(painter(colour=False), width=None, verbosity=0).exchange(row, running.capture)
        assert said in line
        assert ("(cut)" in line) is not left

        feed = Feed(running.capture)
        feed.reload()
        assert feed.row(1) is not None
        text = "".join(cell.text for cell in row_cells(row, columns_for(140, 4), None, feed.deed(1)))
        assert said.removeprefix("· ") in text
        assert "resp-close-delimited" not in marks(running.capture, row).ids


async def test_half_a_head_shows_what_is_wrong_with_it(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(b"GE")
        client.writer.write_eof()
        await client.rest()
        await client.close()
        row = await running.eventually(
            lambda: (found := running.capture.exchange(1)) and found.state & State.ABORTED and found
        )
        noted = outstanding(running.capture, row)
        assert noted is not None
        assert noted[0] == "head-truncated"
        text = "".join(cell.text for cell in row_cells(row, columns_for(140, 4), None, None, noted))
        assert "▲ head-trun" in text
        assert "method-unregistered" not in marks(running.capture, row).ids
