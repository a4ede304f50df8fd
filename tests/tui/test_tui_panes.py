"""The panes on a screen: what the cursor names, what the keys do, what a person reads."""

from __future__ import annotations

import gzip
import json

import pytest

from inspectd.capture.model import Read, State
from inspectd.tui.subject import Subject
from inspectd.tui.widgets.panes.anatomy import TokenView
from inspectd.tui.widgets.panes.meaning import registration_blocks
from inspectd.tui.widgets.panes.prose import Paragraph
from tests.tui.panes_bench import (
    MS,
    NO_CONTENT,
    PREFLIGHT,
    START,
    Bench,
    connection,
    listener,
    reversed_text,
    screen_text,
    subject,
    whole_text,
)
from tests.wire.hellos import full_hello

WIDE = (120, 30)
SMALL = (80, 13)


async def test_the_cursor_names_the_token_and_explains_its_value() -> None:
    app = Bench(subject())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press(*["down"] * 5)
        await pilot.pause()
        assert reversed_text(app.view("#bytes")) == "cors"
        said = whole_text(app.view("#meaning"))
        start = PREFLIGHT.index(b"cors\r\n")
        assert said.startswith("Sec-Fetch-Mode: cors")
        assert f"field-value · 4 bytes · {start:04x}–{start + 4:04x}" in said
        assert "The page asked with CORS" in said
        assert "What made this request  a CORS preflight" in said
        assert "W3C Fetch Metadata" in said
        assert app.detail.selected_value() == ("value of Sec-Fetch-Mode", b"cors")


async def test_left_and_right_step_through_name_colon_space_value_and_line_end() -> None:
    app = Bench(subject())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("down", "left", "left", "left")
        seen = []
        for _ in range(5):
            await pilot.pause()
            label = whole_text(app.view("#meaning")).splitlines()
            seen.append(
                (
                    reversed_text(app.view("#bytes")),
                    (app.detail.selected_value() or ("", b""))[0],
                    bool(label),
                )
            )
            await pilot.press("right")
        assert seen == [
            ("Host", "field-name", True),
            (":", "colon", True),
            ("·", "ows", True),
            ("localhost:8080", "value of Host", True),
            ("localhost", "part of Host", True),
        ]


async def test_a_part_of_a_list_is_explained_by_itself() -> None:
    app = Bench(subject())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press(*["down"] * 8, "right", "right")
        await pilot.pause()
        assert app.detail.selected_value() == ("part of Accept-Encoding", b"deflate")
        assert whole_text(app.view("#meaning")).startswith("deflate")
        assert reversed_text(app.view("#bytes")) == "deflate"


async def test_hex_and_text_follow_each_other() -> None:
    app = Bench(subject())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press(*["down"] * 5, "b")
        await pilot.pause()
        shown = reversed_text(app.view("#bytes"))
        assert (shown[:8], shown[8:]) == ("636f7273", "cors")
        await pilot.press("left")
        await pilot.pause()
        assert reversed_text(app.view("#bytes")) == "20 "
        await pilot.press("left", "left", "b")
        await pilot.pause()
        assert reversed_text(app.view("#bytes")) == "Sec-Fetch-Mode"


async def test_up_and_down_in_hex_go_to_the_token_a_row_away() -> None:
    app = Bench(subject())
    async with app.run_test(size=(200, 30)) as pilot:
        await pilot.press("home", "b", "down")
        await pilot.pause()
        assert app.detail.selected_value() == ("path", b"/api/user")
        await pilot.press("down")
        await pilot.pause()
        assert app.detail.selected_value() == ("version", b"HTTP/1.1")
        await pilot.press("up", "up")
        await pilot.pause()
        assert app.detail.selected_value() == ("method", b"OPTIONS")


async def test_a_click_puts_the_cursor_on_a_token_and_a_second_one_on_its_part() -> None:
    app = Bench(subject())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        lines = screen_text(app.view("#bytes")).splitlines()
        y = next(number for number, line in enumerate(lines) if "deflate" in line)
        x = lines[y].index("deflate") + 2  # a cell of padding, and not the first letter
        await pilot.click("#bytes", offset=(x, y))
        assert app.detail.selected_value() == ("value of Accept-Encoding", b"gzip, deflate, br")
        await pilot.click("#bytes", offset=(x, y))
        assert app.detail.selected_value() == ("part of Accept-Encoding", b"deflate")


async def test_tab_shows_the_other_side_and_comes_back_to_the_same_token() -> None:
    app = Bench(subject())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press(*["down"] * 5, "tab")
        await pilot.pause()
        assert screen_text(app.view("#bytes")).startswith("0000  status line  HTTP/1.1·204·No·Content↵")
        await pilot.press("tab")
        await pilot.pause()
        assert reversed_text(app.view("#bytes")) == "cors"


async def test_a_subject_that_grew_keeps_the_cursor_and_another_one_does_not() -> None:
    app = Bench(subject(PREFLIGHT[:200]))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("down", "down")
        app.detail.show(subject(PREFLIGHT))
        await pilot.pause()
        assert app.detail.selected_value() == ("value of Access-Control-Request-Method", b"PUT")
        app.detail.show(Subject.from_bytes(PREFLIGHT, key=99))
        await pilot.pause()
        assert app.detail.selected_value() == ("method", b"OPTIONS")


async def test_at_80_columns_the_explanation_stands_below_and_nothing_is_cut() -> None:
    app = Bench(subject())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press(*["down"] * 5)
        await pilot.pause()
        assert app.view("#meaning").region.y > app.view("#bytes").region.y
        assert "cors" in reversed_text(app.view("#bytes"))
        tabs = "".join(segment.text for segment in app.detail.query_one("Tabs").render_line(0))
        assert tabs.rstrip() == (
            "1 Anatomy 2 Fields 3 Body 4 Hex 5 Answer 6 Time 7 Conn 8 Msgs 9 Finds  request ⇄"
        )


async def test_space_reads_on_in_a_long_explanation_and_begins_again_at_its_end() -> None:
    app = Bench(subject())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        meaning = app.view("#meaning")
        pages = [screen_text(meaning)]
        for _ in range(20):
            await pilot.press("space")
            await pilot.pause()
            if screen_text(meaning) == pages[0]:
                break
            pages.append(screen_text(meaning))
        assert len(pages) > 2
        assert screen_text(meaning) == pages[0]
        read = {line for page in pages for line in page.splitlines()}
        assert read >= set(whole_text(meaning).splitlines())
        assert app.detail.selected_value() == ("method", b"OPTIONS")


async def test_the_framing_is_explained_at_the_end_of_the_head_with_other_readings() -> None:
    request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    app = Bench(subject(request))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("down", "down", "down")
        await pilot.pause()
        said = whole_text(app.view("#meaning"))
        assert "Framing  " in said
        assert app.shown is not None
        message = app.shown.request_message
        assert message is not None
        assert message.framing.alternatives
        assert " ".join(message.framing.alternatives[0].reader.split()[:3]) in said


async def test_a_client_without_fetch_metadata_is_told_why() -> None:
    app = Bench(
        subject(b"GET / HTTP/1.1\r\nHost: lab.example\r\nUser-Agent: Mozilla/5.0 (X11) Firefox/153.0\r\n\r\n")
    )
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        assert "No Sec-Fetch-* fields  plain http" in whole_text(app.view("#meaning"))
        await pilot.press("2")
        await pilot.pause()
        assert "No Sec-Fetch-* fields" in whole_text(app.detail.pane.main_view)


async def test_an_ambiguous_request_says_at_its_first_token_who_reads_it_otherwise() -> None:
    app = Bench(
        subject(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
        )
    )
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        told = whole_text(app.view("#meaning"))

        assert told.index("Framing") < told.index("What made this request")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "three words with one space"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "between a field name and its colon"),
        (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", "Host"),
    ],
)
async def test_the_first_token_says_what_is_odd_about_a_head(request_: bytes, reason: str) -> None:
    app = Bench(subject(request_))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        told = " ".join(whole_text(app.view("#meaning")).split())

        assert ("A strict server answers 400" in told) is bool(reason)
        assert reason in told


async def test_a_preflight_says_what_the_answer_must_say_and_whether_it_did() -> None:
    app = Bench(subject())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        said = " ".join(whole_text(app.view("#meaning")).split())
        assert "Your answer must say" in said
        assert "Access-Control-Allow-Methods: PUT ✓ sent" in said
        assert "✗ not sent" in said


async def test_bytes_that_are_no_http_are_shown_with_their_sentence() -> None:
    hello = full_hello()
    sentence = "A TLS hello on the clear port: open https:// instead."
    app = Bench(
        Subject.from_bytes(hello, key=-3, connection=connection(kind="tls", sentence=sentence, exchanges=0))
    )
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        shown = whole_text(app.view("#bytes"))
        assert shown.startswith("0000  record       16 03 01 ")
        assert "  server_name  00 00 00 0e 00 0c 00 00 09 a.example" in shown
        assert sentence in " ".join(whole_text(app.view("#meaning")).split())
        await pilot.press("7")
        await pilot.pause()
        life = " ".join(whole_text(app.detail.pane.main_view).split())
        assert "The client's hello" in life
        assert (
            "for a.example versions TLS 1.3, TLS 1.2 protocols h2, http/1.1 ciphers 4, first TLS_AES_128_GCM_SHA256"
            in life
        )
        await pilot.press("1")
        await pilot.pause()
        told = []
        for _ in range(33):
            await pilot.press("right")
            await pilot.pause()
            told.append(" ".join(whole_text(app.view("#meaning")).split()))
        for title in ("TLS_AES_128_GCM_SHA256 ", "GREASE 0x1A1A ", "server_name ", "a.example "):
            assert any(text.startswith(title) for text in told), told
        assert any("Which host the client wants (SNI)" in text for text in told)


async def test_the_alert_that_answers_a_hello_is_named() -> None:
    alert = bytes.fromhex("15030100020228")
    app = Bench(
        Subject.from_bytes(full_hello(), alert, key=-3, connection=connection(kind="tls", exchanges=0))
    )
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("tab")
        await pilot.pause()
        assert "alert        02 28" in whole_text(app.view("#bytes"))


async def test_a_connection_without_a_byte_says_what_it_was() -> None:
    app = Bench(
        Subject.from_bytes(key=-3, connection=connection(kind="preconnect", sentence="No byte came."))
    )
    async with app.run_test(size=WIDE) as pilot:
        for number in "1234567":
            await pilot.press(number)
            await pilot.pause()
            assert screen_text(app.detail.pane.main_view).strip()
        await pilot.press("1")
        await pilot.pause()
        assert screen_text(app.view("#bytes")).strip() == "No byte came."


async def test_headers_stand_in_order_with_duplicates_and_explanations() -> None:
    request = b"GET / HTTP/1.1\r\nhOst: a\r\nCookie: a=1\r\nCookie: b=2\r\nX-Empty:\r\nSec-Fetch-Dest: image\r\n\r\n"
    app = Bench(subject(request))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("2", "down", "down")
        await pilot.pause()
        shown = whole_text(app.detail.pane.main_view)
        order = [
            shown.index(name)
            for name in ("hOst", "Cookie (1 of 2)", "Cookie (2 of 2)", "X-Empty", "Sec-Fetch-Dest")
        ]
        assert order == sorted(order)
        assert "(empty)" in shown
        assert reversed_text(app.detail.pane.main_view) == "b=2"
        assert app.detail.selected_value() == ("Cookie", b"b=2")


async def test_the_body_is_decoded_and_laid_out_and_raw_on_a_key() -> None:
    content = gzip.compress(json.dumps({"a": 1, "b": [True]}).encode())
    head = b"PUT / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: "
    app = Bench(subject(head + str(len(content)).encode() + b"\r\n\r\n" + content))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("3")
        await pilot.pause()
        decoded = whole_text(app.detail.pane.main_view)
        assert "gzip" in decoded
        assert '"a": 1,' in decoded
        assert app.detail.selected_value() == ("decoded content of the request", b'{"a": 1, "b": [true]}')
        await pilot.press("b")
        await pilot.pause()
        assert "1f 8b 08" in whole_text(app.detail.pane.main_view)
        assert app.detail.selected_value() == ("content of the request", content)


async def test_a_broken_coding_is_said_and_what_came_out_is_shown() -> None:
    content = gzip.compress(b"hello " * 100)[:-20]
    head = b"PUT / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(content)
    app = Bench(subject(head + content))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("3")
        await pilot.pause()
        assert "decoding  The gzip data ends early." in whole_text(app.detail.pane.main_view)


async def test_an_image_is_named_with_its_dimensions() -> None:
    png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big")
    app = Bench(subject(b"PUT / HTTP/1.1\r\nContent-Type: image/png\r\nContent-Length: 24\r\n\r\n" + png))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("3")
        await pilot.pause()
        shown = whole_text(app.detail.pane.main_view)
        assert "PNG image, 640 × 480 pixels" in shown
        assert "89 50 4e 47" in shown


async def test_the_hex_pane_names_the_byte_and_its_token() -> None:
    app = Bench(subject())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("4", "n", "n", "right")
        await pilot.pause()
        assert reversed_text(app.view("#dump")) == "61a"
        under = screen_text(app.view("#under"))
        assert under.split()[:1] == ["0009"]
        assert "path 9 bytes  /api/user" in under
        assert app.detail.selected_value() == ("path", b"/api/user")
        await pilot.press("end")
        await pilot.pause()
        assert "empty-line" in screen_text(app.view("#under"))
        await pilot.press("home")
        await pilot.click("#dump", offset=(1 + len("0000  "), 1))
        await pilot.pause()
        assert screen_text(app.view("#under")).split()[0] == "0010"


async def test_the_response_lists_what_inspectd_added_and_where_the_answer_came_from() -> None:
    added = json.dumps(["Date: Fri, 20 Nov 2026 11:20:00 GMT"])
    app = Bench(subject(label="answer 204 No Content", added=added))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("5")
        await pilot.pause()
        lines = whole_text(app.detail.pane.main_view).splitlines()
        assert lines[0] == "answered by answer 204 No Content"
        assert lines[1] == "HTTP/1.1 204 No Content"
        assert "+ Date: Fri, 20 Nov 2026 11:20:00 GMT" in lines
        assert "  Access-Control-Allow-Methods: PUT" in lines
        assert "+  added by inspectd itself: Date" in lines
        assert "Not cacheable: the answer to OPTIONS is never kept" in lines
        assert "The connection stays open for the next request" in lines


async def test_an_answer_that_is_still_to_come_is_no_empty_page() -> None:
    app = Bench(
        subject(
            response=b"",
            state=State.HEAD_COMPLETE | State.REQUEST_COMPLETE,
            answered_ns=None,
            finished_ns=None,
            status=None,
        )
    )
    assert app.shown is not None
    app.shown.connection = connection(closed_ns=None)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("5")
        await pilot.pause()
        assert whole_text(app.detail.pane.main_view).strip() == "No answer was sent yet."


async def test_timing_says_when_and_how_long_with_units_and_gaps() -> None:
    app = Bench(subject())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("6")
        await pilot.pause()
        lines = [
            " ".join(line.split("  ")[0:1]) for line in whole_text(app.detail.pane.main_view).splitlines()
        ]
        shown = whole_text(app.detail.pane.main_view)
        assert lines[1:5] == [
            "accepted, no byte yet",
            "request head arrives",
            "until the answer begins",
            "answer is written",
        ]
        assert " ".join(shown.splitlines()[3].split()[:7]) == "until the answer begins +2.00 ms 3.00"
        assert "after a gap of 3.00 ms" in shown
        assert "23 µs" in shown


async def test_the_connection_tells_the_life_of_the_socket_in_order() -> None:
    app = Bench(subject())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("7")
        await pilot.pause()
        shown = whole_text(app.detail.pane.main_view)
        told = [
            "socket()",
            "setsockopt()",
            "bind()",
            "listen()",
            "handshake",
            "accept queue",
            "accept()",
            "recv()",
            "send()",
            "← FIN",
            "close()",
            "Exchanges on this connection",
            "#7 OPTIONS",
        ]
        places = [shown.index(name) for name in told]
        assert places == sorted(places)
        assert "The program asks the kernel for a socket" in shown
        assert "A server may bind its port again" in shown
        assert "1 connection of at most 128 waiting" in shown


async def test_a_reset_says_who_sent_it() -> None:
    shown = Subject.from_bytes(
        PREFLIGHT, key=-3, connection=connection(how="rst", fin_in_ns=None), listener=listener()
    )
    app = Bench(shown)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("7")
        await pilot.pause()
        assert "← RST" in whole_text(app.detail.pane.main_view)


async def test_only_the_pane_on_screen_looks_at_the_bytes() -> None:
    asked: list[str] = []

    class Watched(Subject):
        def side(self, side):  # type: ignore[no-untyped-def]
            asked.append(side)
            return super().side(side)

    shown = Watched.from_bytes(PREFLIGHT, NO_CONTENT, connection=connection(), listener=listener())
    app = Bench(None)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("7")
        asked.clear()
        app.detail.show(shown)
        await pilot.pause()
        assert shown.side("request")._stream is None
        assert asked


@pytest.mark.parametrize("size", [(80, 13), (120, 24), (40, 8), (20, 4)])
async def test_every_pane_draws_at_every_size(size: tuple[int, int]) -> None:
    app = Bench(subject())
    async with app.run_test(size=size) as pilot:
        for key in "1234567":
            for side in range(2):
                await pilot.press(key, "down", "b", "tab" if side else "right")
                await pilot.pause()
                drawn = app.screen._compositor.render_strips()
                assert [strip.cell_length for strip in drawn] == [size[0]] * size[1]
                assert any(screen_text(view).strip() for view in app.line_views()), key


async def test_nothing_selected_is_said_in_every_pane() -> None:
    app = Bench(None)
    async with app.run_test(size=WIDE) as pilot:
        for number in "1234567":
            await pilot.press(number)
            await pilot.pause()
            assert screen_text(app.detail.pane.main_view).strip() == "Nothing is selected."
            assert app.detail.selected_value() is None


async def test_the_last_line_says_how_much_is_left_and_a_key_reads_more() -> None:
    request = b"POST / HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    shown = subject(request)
    app = Bench(shown)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        prefix = len(shown.request)
        assert prefix < len(request)
        assert f"… {len(request) - prefix:,} bytes more of {len(request):,}" in whole_text(app.view("#bytes"))
        await pilot.press("l")
        await pilot.pause()
        assert shown.request == request
        assert "bytes more of" not in whole_text(app.view("#bytes"))
        assert isinstance(app.detail.pane.main_view, TokenView)


async def test_reads_are_counted_at_the_end_of_the_head() -> None:
    shown = Subject.from_bytes(
        PREFLIGHT,
        key=5,
        connection=connection(),
        reads=(Read(0, 10, START + MS), Read(10, len(PREFLIGHT) - 10, START + 2 * MS)),
    )
    app = Bench(shown)
    async with app.run_test(size=(160, 30)) as pilot:
        await pilot.pause()
        last = screen_text(app.view("#bytes")).splitlines()[-1]
        assert last.endswith(f"↵   8 fields, {len(PREFLIGHT)} bytes, 2 reads at +1.00 ms")


async def test_an_answer_that_left_in_one_piece_takes_no_time_of_its_own() -> None:
    app = Bench(subject(answered_ns=START + 5 * MS, finished_ns=START + 5 * MS))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("5")
        await pilot.pause()
        assert "after the request began, and all of it at once" in whole_text(app.detail.pane.main_view)
        await pilot.press("6")
        await pilot.pause()
        assert "answer is written" not in whole_text(app.detail.pane.main_view)


def test_a_field_says_where_it_is_registered_and_which_browsers_know_it() -> None:
    (_, line) = registration_blocks("Accept-CH")
    assert isinstance(line, Paragraph)
    assert "".join(run.text for run in line.runs) == (
        "permanent at IANA · a structured list · Chrome since 46 · not Firefox · not Safari"
    )
    assert registration_blocks("X-Unheard-Of") == []
