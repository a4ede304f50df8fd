"""`inspectd run`: real programs through a proxy of their own, what they get of it, and what is said afterwards."""

from __future__ import annotations

import http.server
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.reader import Capture
from inspectd.cli.program_environment import Trust, program_environment
from tests.live_engine import ROOT, LiveEngine, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECONDS = 60


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        missing = self.path.startswith("/missing")
        self.send_response(404 if missing else 200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def origin() -> Iterator[str]:
    """HOST:PORT of a server on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def command_line(tmp_path: Path, *words: str | Path) -> list[str]:
    return [
        sys.executable, "-m", "inspectd", "run", "--capture", str(tmp_path / "run.inspectd"), *map(str, words)
    ]  # fmt: skip


def run(
    tmp_path: Path, *words: str | Path, env: Mapping[str, str] | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command_line(tmp_path, *words),
        cwd=ROOT,
        env=environment(tmp_path, env),
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def targets(tmp_path: Path) -> list[str | None]:
    with Capture.open(tmp_path / "run.inspectd") as capture:
        return [row.target for row in capture.exchanges_after(0, 100)]


# ------------------------------------------------------------------------------------------------- real programs


def test_curl_is_recorded_and_summed_up(tmp_path: Path, origin: str) -> None:
    need("curl")
    port = origin.rpartition(":")[2]
    urls = [f"http://{origin}/a", f"http://{origin}/missing", f"http://localhost:{port}/b"]
    done = run(tmp_path, "--", "curl", "-sS", *urls)

    assert (done.returncode, done.stdout) == (0, b"hello\n" * 3)
    assert targets(tmp_path) == urls
    said = done.stderr.decode().splitlines()
    assert said[0].startswith("inspectd: 3 exchanges with 2 hosts in ")
    assert said[1].split() == ["2", origin, "200,", "404"]
    assert said[2].split() == ["1", f"localhost:{port}", "200"]
    assert said[-1] == f"  look at it: inspectd open {tmp_path}/run.inspectd"


def test_python_goes_through_it_whatever_the_library(tmp_path: Path, origin: str) -> None:
    program = (
        "import sys, urllib.request, httpx, requests\n"
        "url = sys.argv[1]\n"
        "print(urllib.request.urlopen(url).read(), httpx.get(url).content, requests.get(url).content)\n"
    )
    done = run(tmp_path, "--", sys.executable, "-c", program, f"http://{origin}/py")

    assert (done.returncode, done.stdout) == (0, b"b'hello\\n' b'hello\\n' b'hello\\n'\n")
    assert targets(tmp_path) == [f"http://{origin}/py"] * 3


def test_java_goes_through_it_and_finds_the_authority_beside_the_roots(tmp_path: Path, origin: str) -> None:
    need("javac")
    source = tmp_path / "Ask.java"
    source.write_text(
        "class Ask { public static void main(String[] words) throws Exception {\n"
        "  System.out.write(new java.net.URL(words[0]).openStream().readAllBytes());\n"
        '  var trust = javax.net.ssl.TrustManagerFactory.getInstance("PKIX");\n'
        "  trust.init((java.security.KeyStore) null);\n"
        "  for (var each : ((javax.net.ssl.X509TrustManager) trust.getTrustManagers()[0]).getAcceptedIssuers())\n"
        "    System.out.println(each.getSubjectX500Principal());\n"
        "} }\n"
    )
    done = run(tmp_path, "--", "java", source, f"http://{origin}/java")

    assert done.returncode == 0, done.stderr
    hello, *issuers = done.stdout.decode().splitlines()
    assert hello == "hello"
    assert sum("inspectd" in name for name in issuers) == 1
    assert targets(tmp_path) == [f"http://{origin}/java"]


def test_git_goes_through_it(tmp_path: Path, origin: str) -> None:
    need("git")
    done = run(tmp_path, "--", "git", "ls-remote", f"http://{origin}/missing.git")

    assert done.returncode == 128
    assert targets(tmp_path)[0] == f"http://{origin}/missing.git/info/refs?service=git-upload-pack"


def test_rules_and_other_options_of_the_proxy_hold(tmp_path: Path) -> None:
    need("curl")
    rules = tmp_path / "own.toml"
    rules.write_text('[[rule]]\nmatch = "/teapot"\nrespond = "418 Teapot"\nbody = "short"\n')
    done = run(tmp_path, "-r", rules, "--keep", "50MB", "--", "curl", "-sS", "http://nowhere.invalid/teapot")

    assert (done.returncode, done.stdout) == (0, b"short")
    assert b"418" in done.stderr


def test_what_failed_is_said_with_its_reason(tmp_path: Path) -> None:
    need("curl")
    with socket.socket() as taken:  # bound and not listening: nobody else gets this port
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        done = run(tmp_path, "--", "curl", "-s", "-o", os.devnull, url)

    failed = next(line for line in done.stderr.decode().splitlines() if line.startswith("  failed: "))
    assert failed.startswith(f"  failed: GET {url}: ")
    assert "refused" in failed


# --------------------------------------------------------------------------------------------------------- https


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[LiveEngine]:
    """A server over TLS, whose certificate is of the same authority."""
    with LiveEngine(tmp_path, "-a", "200", "--body", "secret\n", listen=("https://127.0.0.1:0",)) as engine:
        yield engine


def trusting(tmp_path: Path) -> tuple[str, ...]:
    return ("--trust", str(tmp_path / "inspectd" / "ca.pem"))


def test_https_is_seen_with_curl_and_python(tmp_path: Path, secure: LiveEngine) -> None:
    need("curl")
    place = f"localhost:{secure.port}"
    program = (
        "import sys, urllib.request, httpx, requests\n"
        "url = sys.argv[1]\n"
        "print(urllib.request.urlopen(url).status, httpx.get(url).status_code, requests.get(url).status_code)\n"
    )
    script = f"curl -sS https://{place}/curl && exec {sys.executable} -c '{program}' https://{place}/python"
    done = run(tmp_path, *trusting(tmp_path), "--", "sh", "-c", script)

    assert (done.returncode, done.stdout) == (0, b"secret\n200 200 200\n"), done.stderr
    with Capture.open(tmp_path / "run.inspectd") as capture:
        rows = capture.exchanges_after(0, 100)
    seen = [(row.target, row.status) for row in rows if row.method == "GET"]
    assert seen == [("/curl", "200"), *[("/python", "200")] * 3]
    said = done.stderr.decode().splitlines()
    assert said[0].startswith("inspectd: 4 exchanges with 1 host in ")
    assert said[1].split() == ["4", place, "200", "(4x)"]


def test_a_server_that_is_not_trusted_is_told_with_its_whole_url_and_what_to_do(
    tmp_path: Path, secure: LiveEngine
) -> None:
    need("curl")
    url = f"https://localhost:{secure.port}/a/path"
    done = run(tmp_path, "--", "curl", "-s", "-o", os.devnull, url)

    failed = next(line for line in done.stderr.decode().splitlines() if line.startswith("  failed: "))
    assert failed.startswith(
        f"  failed: GET {url}: The certificate of localhost:{secure.port} can't be trusted"
    )
    assert failed.endswith("--trust FILE accepts certificates of an issuer, --insecure any.")


def test_a_client_that_refuses_the_certificate_is_told_of(tmp_path: Path, secure: LiveEngine) -> None:
    need("curl")
    url = f"https://localhost:{secure.port}/"
    refused = run(tmp_path, "--", "sh", "-c", f"unset CURL_CA_BUNDLE SSL_CERT_FILE; curl -sS {url}")

    assert refused.returncode == 60
    assert (
        b"  refused our certificate: localhost; --no-intercept localhost leaves it alone\n" in refused.stderr
    )


def test_a_tunnel_that_is_left_alone_is_counted_with_its_bytes(tmp_path: Path, secure: LiveEngine) -> None:
    need("curl")
    place = f"localhost:{secure.port}"
    done = run(tmp_path, "--no-intercept", "localhost", "--", "curl", "-sSk", f"https://{place}/")

    assert (done.returncode, done.stdout) == (0, b"secret\n")
    said = done.stderr.decode().splitlines()
    assert said[0].startswith("inspectd: no exchange, 1 tunnel left unread in ")
    assert not said[0].endswith(": 0 bytes sent, 0 received")
    assert said[1] == f"  left unread: {place}"


# ------------------------------------------------------------------------------- streams, exit codes and signals


def test_the_streams_are_the_programs_own(tmp_path: Path) -> None:
    done = run(tmp_path, "--quiet", "--", "sh", "-c", "cat; echo oops >&2; exit 7", stdin=b"a\x00b\xff")

    assert (done.returncode, done.stdout, done.stderr) == (7, b"a\x00b\xff", b"oops\n")


def test_options_of_the_program_need_no_dashes_before_it(tmp_path: Path) -> None:
    done = run(tmp_path, "sh", "-c", "echo $1", "sh", "--quiet")

    assert done.stdout == b"--quiet\n"
    assert b"capture: " in done.stderr


@pytest.mark.parametrize(
    ("words", "code"), [(["sh", "-c", "kill -9 $$"], 137), (["no-such-program"], 127), (["/"], 126)]
)
def test_exit_codes_are_those_of_a_shell(tmp_path: Path, words: list[str], code: int) -> None:
    done = run(tmp_path, "--", *words)

    assert done.returncode == code
    assert done.stdout == b""
    if code < 128:
        assert done.stderr.startswith(f"inspectd: can't run '{words[0]}': ".encode())


def test_an_engine_that_cannot_start_says_why_and_nothing_is_run(tmp_path: Path) -> None:
    done = run(tmp_path, "--rules", tmp_path / "none.toml", "--", "echo", "ran")

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"none.toml" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_an_engine_that_ends_early_is_told_of(tmp_path: Path) -> None:
    program = (
        "import contextlib, os\n"
        "from pathlib import Path\n"
        "from inspectd.control.places import running_engines\n"
        "(engine,) = running_engines()\n"
        "os.kill(engine.pid, 9)\n"
        "with contextlib.suppress(OSError):\n"  # its parent has noticed already
        "    while ') Z ' not in Path(f'/proc/{engine.pid}/stat').read_text():\n"
        "        pass\n"
    )
    runtime = {"XDG_RUNTIME_DIR": tempfile.mkdtemp(dir=tmp_path)}
    done = run(tmp_path, "--", sys.executable, "-c", program, env=runtime)

    assert done.returncode == 0, done.stderr
    assert b"inspectd: the engine ended early (SIGKILL): from then on there was no proxy\n" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_handed_on(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import signal, sys\n"
        f"signal.signal({number.value}, lambda *_: sys.exit(40))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen(
        command_line(tmp_path, "--", sys.executable, "-c", program),
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=SECONDS)

    assert process.returncode == 40
    assert b"inspectd: no exchange" in said


def read_until(terminal: int, end: bytes | None) -> bytes:
    """What a program writes to its terminal, up to `end` or to its own end."""
    said = b""
    deadline = time.monotonic() + SECONDS
    while end is None or end not in said:
        ready, _, _ = select.select([terminal], [], [], max(deadline - time.monotonic(), 0))
        assert ready, said
        try:
            piece = os.read(terminal, 1000)
        except OSError:  # EIO: Linux says so when the other end is closed
            piece = b""
        if not piece:
            break
        said += piece
    return said


def test_ctrl_c_reaches_the_program_once(tmp_path: Path) -> None:
    """On a terminal the whole foreground group has the signal already."""
    import pty

    program = (
        "import signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "print('ready', flush=True)\n"
        "signal.sigwait([signal.SIGINT])\n"
        "print('got it', flush=True)\n"
        "if signal.sigtimedwait([signal.SIGINT], 0.3):\n"
        "    print('got it again')\n"
    )
    words = command_line(tmp_path, "--quiet", "--", sys.executable, "-c", program)
    # A program of its own makes the terminal the controlling one: this process may have threads, and mustn't fork.
    takes = "import fcntl, os, sys, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\nos.execv(sys.argv[1], sys.argv[1:])"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", takes, *words],
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            said = read_until(ours, b"ready")
            os.write(ours, b"\x03")
            said += read_until(ours, None)
            code = process.wait(SECONDS)
        finally:
            process.kill()
            os.close(ours)

    assert code == 0
    assert said.count(b"got it") == 1


def test_a_program_that_asks_nobody_is_explained(tmp_path: Path) -> None:
    done = run(tmp_path, "--", "true")

    assert done.returncode == 0
    assert b"inspectd: no exchange\n  Nothing of true came through the proxy" in done.stderr


# -------------------------------------------------------------------------------------------- lines and captures


def test_lines_are_those_of_headless_and_only_of_this_run(tmp_path: Path, origin: str) -> None:
    need("curl")
    lines = tmp_path / "lines.jsonl"
    for target in ("/first", "/second"):
        run(tmp_path, "--lines", lines, "--", "curl", "-s", f"http://{origin}{target}")

    written = [json.loads(line) for line in lines.read_text("ascii").splitlines()]
    exchanges = [line for line in written if line["type"] == "exchange"]
    assert [line["target"] for line in exchanges] == [f"http://{origin}/second"]
    assert exchanges[0]["id"] == 2
    assert exchanges[0]["upstream"]["origin"] == origin
    assert len(targets(tmp_path)) == 2


# ------------------------------------------------------------------------------------------------ the environment


def variables(tmp_path: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    program = (
        "import json, os, ssl\n"
        "from pathlib import Path\n"
        "texts = {k: Path(v).read_text() for k, v in os.environ.items() if v.endswith('.pem')}\n"
        "print(json.dumps({'env': dict(os.environ), 'texts': texts,"
        " 'own': ssl.create_default_context().cert_store_stats()['x509_ca']}))\n"
    )
    done = run(tmp_path, "--quiet", "--", sys.executable, "-c", program, env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_authority_stands_beside_the_roots_where_a_variable_replaces_them(tmp_path: Path) -> None:
    root = tmp_path / "roots.pem"
    root.write_text("# a person's own roots\n")
    found = variables(tmp_path, {"SSL_CERT_FILE": str(root), "NO_PROXY": "localhost", "no_proxy": "*"})
    env, texts = found["env"], found["texts"]

    authority = (tmp_path / "inspectd" / "ca.pem").read_text()
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"):
        assert texts[name] == f"# a person's own roots\n\n{authority}"
    for name in ("NODE_EXTRA_CA_CERTS", "DENO_CERT", "INSPECTD_CA"):
        assert texts[name] == authority
    assert found["own"] == 1
    assert env["http_proxy"] == env["HTTPS_PROXY"] == env["ALL_PROXY"] == env["INSPECTD_PROXY"]
    assert env["NO_PROXY"] == env["no_proxy"] == ""
    assert not Path(env["INSPECTD_CA"]).exists()  # gone with the program
    assert not any("PRIVATE KEY" in text for text in texts.values())


def test_what_a_person_has_set_is_kept_beside_it(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "ca.pem", tmp_path / "bundle.pem", tmp_path / "a folder" / "store.p12")
    before = {
        "HOME": "/home/me",
        "JAVA_TOOL_OPTIONS": "-Da='b  c'",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "me",
    }
    made = program_environment("127.0.0.1:9", trust, before)

    assert made["HOME"] == "/home/me"
    assert made["JAVA_TOOL_OPTIONS"].startswith("-Da='b  c' -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=9 ")
    assert f'"-Djavax.net.ssl.trustStore={trust.java}"' in made["JAVA_TOOL_OPTIONS"]
    assert (made["GIT_CONFIG_COUNT"], made["GIT_CONFIG_KEY_0"]) == ("2", "user.name")
    assert (made["GIT_CONFIG_KEY_1"], made["GIT_CONFIG_VALUE_1"]) == ("http.proxy", "http://127.0.0.1:9")


def test_an_odd_root_takes_no_other_one_away(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import pkcs12

    from inspectd.cli.program_environment import write_trust
    from inspectd.engine.ca import open_authority

    first, second = open_authority(tmp_path / "first"), open_authority(tmp_path / "second")
    odd = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    roots = tmp_path / "roots.pem"
    roots.write_bytes(odd + first.certificate_path.read_bytes())
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SSL_CERT_FILE", str(roots))
        trust = write_trust(tmp_path, second)

    assert (
        trust.bundle.read_bytes()
        == odd + first.certificate_path.read_bytes() + b"\n" + trust.certificate.read_bytes()
    )
    kept = pkcs12.load_pkcs12(trust.java.read_bytes(), None).additional_certs
    assert [each.certificate for each in kept] == [first.certificate, second.certificate]


def test_the_help_says_who_reads_the_variables(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inspectd", "run", "--help"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    for word in ("curl", "trust_env=True", "Node", "Go", "JAVA_TOOL_OPTIONS", "--rules", "--lines"):
        assert word in done.stdout
    for word in ("--listen", "--allow-remote", "--serve"):
        assert word not in done.stdout
