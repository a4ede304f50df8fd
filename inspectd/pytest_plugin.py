"""The pytest plugin: the fixtures `inspectd`, `inspectd_session` and `inspectd_sweep`, and what a failed test shows.

Every run of pytest loads this module, also one without a test of ours: the engine is imported when a fixture is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from inspectd.testing import Inspectd
    from inspectd.testing.log import Trouble
    from inspectd.testing.stage import Stage
    from inspectd.testing.sweep import Cut, Sweep

_MARKER = (
    "inspectd_sweep(cut='every-byte', do='close', *, status, headers, body, raw, answer, rule, match, whole, step): "
    "run the test once for each place at which the answer can be cut"
)

_SERVER = pytest.StashKey["Inspectd"]()
_SESSION_SERVER = pytest.StashKey["Inspectd"]()
_SWEEP = pytest.StashKey["Sweep"]()
_LONGEST_NAME = 120

_FAILED = pytest.StashKey[bool]()
_ANSWERING = "while answering "
"""How the note begins on what a function of a test raised."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where captures of failed tests go, and where to listen."""
    group = parser.getgroup("inspectd")
    group.addoption(
        "--inspectd-keep",
        metavar="DIR",
        help="keep the captures of failed tests in this directory (default: among pytest's temporary ones)",
    )
    parser.addini(
        "inspectd_listen",
        "HOST:PORT that the fixtures listen on; the port 0 is a free one, another for each test",
        default="127.0.0.1:0",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the marker runs once for each place."""
    mark = metafunc.definition.get_closest_marker("inspectd_sweep")
    if mark is not None:
        from inspectd.errors import InspectdError
        from inspectd.testing.sweep import cuts_of

        if not {"inspectd", "inspectd_sweep"} & set(metafunc.fixturenames):
            pytest.fail("a test that is swept wants the fixture inspectd_sweep or inspectd", pytrace=False)
        if "inspectd_sweep" not in metafunc.fixturenames:
            metafunc.fixturenames.append("inspectd_sweep")
        try:
            cuts = cuts_of(mark, base=metafunc.definition.path.parent)
        except InspectdError as error:
            raise pytest.Collector.CollectError(f"inspectd_sweep: {error}") from None
        metafunc.parametrize("inspectd_sweep", cuts, ids=[cut.id for cut in cuts], indirect=True)


# -- fixtures


@pytest.fixture(scope="session")
def _inspectd_stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """The one engine that the tests of this process share, one after the other."""
    from inspectd.testing.stage import Stage
    from inspectd.testing.unmatched import NoRule

    stage = Stage(NoRule(), listen=request.config.getini("inspectd_listen"))
    yield stage
    stage.close()


@pytest.fixture
def inspectd(request: pytest.FixtureRequest, _inspectd_stage: Stage) -> Iterator[Inspectd]:
    """A server that answers as you say and shows exactly what came: see `inspectd.testing.Inspectd`.

    It is fresh for each test: no rules, nothing seen, a port of its own. The test fails for a request that no rule is
    for (`inspectd.allow_unmatched()` lets them pass), and for a function that raises.
    """
    __tracebackhide__ = _of_a_function
    from inspectd.testing import Inspectd
    from inspectd.testing.unmatched import NoRule

    node: pytest.Item = request.node
    stage = _inspectd_stage
    server = Inspectd(stage=stage, base=node.path.parent)
    node.stash[_SERVER] = server
    cut = _cut_of(node)
    if cut is not None:
        from inspectd.testing.sweep import Sweep

        node.stash[_SWEEP] = Sweep(server, cut)
    yield server
    del node.stash[_SERVER]
    try:
        if node.stash.get(_FAILED, False) or server.troubled:
            stage.silence()
            if server.connections:
                server.keep(_kept_path(node))
    finally:
        stage.renew(NoRule())
    _judge(server)


@pytest.fixture(scope="session")
def inspectd_session(request: pytest.FixtureRequest) -> Iterator[Inspectd]:
    """Like `inspectd`, for the whole session: its port, its rules and what it has seen stay from test to test.

    A test that uses it fails for what came unmatched while it ran.
    """
    __tracebackhide__ = _of_a_function
    from inspectd.testing import Inspectd

    server = Inspectd(base=request.config.rootpath, listen=request.config.getini("inspectd_listen"))
    request.session.stash[_SESSION_SERVER] = server.start()
    yield server
    del request.session.stash[_SESSION_SERVER]
    try:
        _judge(server)
    finally:
        server.stop()


@pytest.fixture
def inspectd_sweep(request: pytest.FixtureRequest, inspectd: Inspectd) -> Sweep:  # noqa: ARG001  it is set up there
    """The answer of the marker `inspectd_sweep`, cut at one place: the test runs once for each."""
    node: pytest.Item = request.node
    if _SWEEP not in node.stash:
        pytest.fail(
            "the fixture inspectd_sweep wants its marker: @pytest.mark.inspectd_sweep(body='hello')",
            pytrace=False,
        )
    return node.stash[_SWEEP]


def _cut_of(node: pytest.Item) -> Cut | None:
    """The place that this run of a test is about, when it is one of a sweep."""
    if not isinstance(node, pytest.Function) or not hasattr(node, "callspec"):
        return None
    return cast("Cut | None", node.callspec.params.get("inspectd_sweep"))


# -- judging and reporting


def _servers(item: pytest.Item) -> list[Inspectd]:
    """The servers that a test uses now."""
    found = [item.stash[_SERVER]] if _SERVER in item.stash else []
    if "inspectd_session" in getattr(item, "fixturenames", ()) and _SESSION_SERVER in item.session.stash:
        found.append(item.session.stash[_SESSION_SERVER])
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that has passed fails for what nobody provided for."""
    __tracebackhide__ = _hidden
    result = yield
    for server in _servers(item):
        _judge(server)
    return result


def _hidden(raised: pytest.ExceptionInfo[BaseException]) -> bool:
    """Our own frames are of no interest, except to pytest itself when there are no others."""
    return not raised.errisinstance(pytest.fail.Exception)


def _of_a_function(raised: pytest.ExceptionInfo[BaseException]) -> bool:
    """What a function of the test raised is shown where that is: our frames on the way from there are not."""
    return any(note.startswith(_ANSWERING) for note in getattr(raised.value, "__notes__", ()))


def _judge(server: Inspectd) -> None:
    """Fail for what came that no rule is for, and for functions that raised: the first of these as if called here."""
    __tracebackhide__ = _hidden
    trouble = server.trouble()
    if not trouble:
        return
    first = trouble.failed[0] if trouble.failed else None
    if first is not None and first.error.__traceback__ is not None and _may_rise(first.error):
        first.error.add_note(f"{_ANSWERING}{first.request} by the rule {first.rule}")
        for line in trouble.lines[1:]:
            first.error.add_note(f"also, {line}")
        raise first.error
    pytest.fail(_in_words(trouble), pytrace=False)


def _may_rise(error: BaseException) -> bool:
    """Whether pytest takes it for a failure: others end or skip tests, and that no answer may do."""
    return isinstance(error, Exception) or type(error) is pytest.fail.Exception


def _in_words(trouble: Trouble) -> str:
    """All of it as safe text, with the tracebacks of functions, each once."""
    import traceback

    from inspectd.text.safe import safe

    traces = [
        safe("".join(traceback.format_exception(failed.error)).rstrip(), newline=True, doubling=False)
        for failed in trouble.failed
        if failed.error.__traceback__ is not None
    ]
    return "\n\n".join(["\n".join(trouble.lines), *dict.fromkeys(traces)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows its traffic, and where its capture is kept."""
    report = yield
    raised = call.excinfo
    if raised is not None and call.when != "teardown" and not raised.errisinstance(pytest.skip.Exception):
        for trouble in filter(
            None, [server.trouble() for server in _servers(item)]
        ):  # not told once more at the end
            report.sections.append(("inspectd: what else failed", _in_words(trouble)))
    if report.failed and call.when != "teardown":
        item.stash[_FAILED] = True
        for server in _servers(item):
            kept = _kept_path(item)
            if server is item.session.stash.get(_SESSION_SERVER, None):  # it goes on, and so does its capture
                kept = server.keep(kept.with_stem(f"{kept.stem}-session"))
            report.sections.append(("inspectd", server.traffic(kept if server.connections else None)))
    return report


def _kept_path(item: pytest.Item) -> Path:
    """The file that the capture of a failed test is kept in, named after the test."""
    import re
    import zlib

    chosen = item.config.getoption("--inspectd-keep")
    name = re.sub(r"[^\w=-]+", "-", item.nodeid.replace(".py::", "-")).strip("-")
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{zlib.crc32(item.nodeid.encode()):08x}"
    if chosen:
        directory = Path(chosen)
    else:
        factory: pytest.TempPathFactory = item.config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001
        directory = factory.getbasetemp() / "inspectd"
    return directory.absolute() / f"{name}.inspectd"
