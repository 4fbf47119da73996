"""TLS of a whole node: a process with a configuration file, clients over sockets, and SIGHUP."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Authority, Pair
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

import rocade

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")

PATIENCE = 20.0
"""Seconds after which something that ought to happen has not happened."""


class Node:
    """`rocade start` with a configuration file."""

    def __init__(self, directory: Path, endpoint: dict[str, Any], **environment: str) -> None:
        """Start it and wait until it is ready.

        Args:
            directory: where its files are; those in `web` are served.
            endpoint: where it listens.
            **environment: variables for the process.
        """
        (directory / "web").mkdir()
        (directory / "web" / "index.html").write_text("hello")
        configuration = directory / "config.json"
        configuration.write_text(json.dumps(configured(endpoint)), encoding="utf-8")
        self._log = directory / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rocade", "start", "--config", str(configuration)],
                env={**os.environ, "PYTHONPATH": str(Path(rocade.__file__).parents[1]), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for("ready; ")
        found = re.search(r"://127\.0\.0\.1:(\d+)", self.log())
        self.port = int(found[1]) if found else 0

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> str:
        """The first line of the log that has a text in it, once it is there."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for line in self.log().splitlines():
                if text in line:
                    return line
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, f"no {text!r} in\n{self.log()}"
            time.sleep(0.02)

    def hang_up(self) -> None:
        """Send SIGHUP."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Let it end; it must not have had an error of its own."""
        self._process.terminate()
        try:
            assert self._process.wait(PATIENCE) == 0, self.log()
        finally:
            self._process.kill()
            self._process.wait()
        assert "Traceback" not in self.log()


class Session:
    """A WAMP session over WebSocket and TLS, in JSON. Leaving its context closes it."""

    def __init__(self, node: Node, context: ssl.SSLContext) -> None:
        self._opening = connect(
            f"wss://localhost:{node.port}/ws",
            sock=socket.create_connection(("127.0.0.1", node.port), PATIENCE),
            ssl=context,
            subprotocols=["wamp.2.json"],  # type: ignore[list-item]
            open_timeout=PATIENCE,
        )

    def __enter__(self) -> Session:
        self.socket: ClientConnection = self._opening.__enter__()
        assert self.ask([1, "realm1", {"roles": {"caller": {}, "callee": {}}}])[0] == 2
        return self

    def __exit__(self, *error: object) -> None:
        self._opening.__exit__(None, None, None)

    def send(self, message: list[Any]) -> None:
        self.socket.send(json.dumps(message))

    def receive(self) -> list[Any]:
        answer: list[Any] = json.loads(self.socket.recv(PATIENCE))
        return answer

    def ask(self, message: list[Any]) -> list[Any]:
        self.send(message)
        return self.receive()

    def shown_certificate(self) -> bytes:
        """What the server has shown."""
        return shown_certificate(self.socket.socket)


def shown_certificate(connection: Any) -> bytes:
    shown = connection.getpeercert(binary_form=True)
    assert isinstance(shown, bytes)
    return shown


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())


def configured(endpoint: dict[str, Any]) -> dict[str, Any]:
    """A configuration with everything on one endpoint."""
    everything = dict.fromkeys(("call", "register", "publish", "subscribe"), True)
    role = {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": everything}]}
    transport = {
        "type": "universal",
        "endpoint": endpoint,
        "rawsocket": {},
        "websocket": {"ws": {"type": "websocket"}},
        "web": {"paths": {"/": {"type": "static", "directory": "web"}}},
    }
    worker = {"type": "router", "realms": [{"name": "realm1", "roles": [role]}], "transports": [transport]}
    return {"version": 2, "workers": [worker]}


def tcp(**tls: Any) -> dict[str, Any]:
    """A TCP endpoint; with a name of a pair as `certificate` and `key`, relative to the configuration file."""
    endpoint: dict[str, Any] = {"type": "tcp", "interface": "127.0.0.1", "port": 0}
    return {**endpoint, "tls": tls} if tls else endpoint


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs the certificates of a test."""
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    """The node's certificate and key."""
    return authority.issue("server")


Start = Callable[..., Node]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a node, which is stopped after the test."""
    nodes: list[Node] = []

    def start(endpoint: dict[str, Any], **environment: str) -> Node:
        nodes.append(Node(tmp_path, endpoint, **environment))
        return nodes[-1]

    yield start
    for node in nodes:
        node.stop()


@pytest.fixture
def node(pair: Pair, start: Start) -> Node:
    """A node with TLS."""
    return start(tcp(certificate="server.pem", key="server.key"))


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_everything_works_on_one_port(authority: Authority, pair: Pair, start: Start, loop: str) -> None:
    node = start(tcp(certificate="server.pem", key="server.key"), ROCADE_LOOP=loop)
    context = authority.client_context()

    page = http.client.HTTPSConnection("127.0.0.1", node.port, timeout=PATIENCE, context=context)
    page.request("GET", "/")
    assert page.getresponse().read() == b"hello"
    page.close()
    with Session(node, context) as session:
        assert session.ask([64, 1, {}, "com.example.add"])[0] == 65
    with (
        socket.create_connection(("127.0.0.1", node.port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as rawsocket,
    ):
        rawsocket.sendall(b"\x7f\xf1\x00\x00")
        assert rawsocket.recv(4)[:2] == b"\x7f\xf1"
        hello = json.dumps([1, "realm1", {"roles": {"caller": {}}}]).encode()
        rawsocket.sendall(struct.pack(">I", len(hello)) + hello)
        assert rawsocket.recv(65536)[4:].startswith(b"[2,")


def test_the_log_says_where_what_listens(node: Node) -> None:
    address = f"127.0.0.1:{node.port}"

    log = node.log()

    assert f"WebSocket on wss://{address}/ws (json" in log
    assert f"files on https://{address}/" in log
    assert f"RawSocket on tls://{address} (json" in log
    assert f"TLS on {address}: certificate of localhost, 127.0.0.1, valid until " in log


def test_after_a_renewal_old_and_new_connections_work_together(node: Node, authority: Authority, pair: Pair) -> None:
    before = der(pair)
    renewed = authority.issue("renewed", expires=datetime(2049, 1, 2, 3, 4, tzinfo=UTC))
    with Session(node, authority.client_context()) as callee:
        assert callee.ask([64, 1, {}, "com.example.double"])[0] == 65
        pair.become(renewed)

        node.hang_up()
        line = node.wait_for("reloaded")

        assert f"] 127.0.0.1:{node.port} has reloaded its files: certificate of localhost" in line
        assert line.endswith("valid until 2049-01-02 03:04 UTC")
        with Session(node, authority.client_context()) as caller:
            assert (callee.shown_certificate(), caller.shown_certificate()) == (before, der(renewed))
            caller.send([48, 1, {}, "com.example.double", [21]])
            invocation = callee.receive()
            assert (invocation[0], invocation[-1]) == (68, [21])
            callee.send([70, invocation[1], {}, [42]])
            assert caller.receive() == [50, 1, {}, [42]]


def test_a_bad_renewal_is_one_line_and_the_old_certificate_stays(node: Node, authority: Authority, pair: Pair) -> None:
    before = der(pair)
    pair.key.write_bytes(authority.issue("other").key.read_bytes())

    node.hang_up()
    line = node.wait_for("ERROR")

    assert (
        f"workers[0].transports[0].endpoint.tls.key: the key in {str(pair.key)!r} is not that of the (first) "
        f"certificate in {str(pair.certificate)!r}; 127.0.0.1:{node.port} keeps the certificate of localhost"
    ) in line
    with Session(node, authority.client_context()) as session:
        assert session.shown_certificate() == before

    pair.become(authority.issue("right"))
    node.hang_up()
    node.wait_for("reloaded")
    with Session(node, authority.client_context()) as session:
        assert session.shown_certificate() == der(pair)


def test_plain_http_on_the_port_harms_nobody(node: Node, authority: Authority) -> None:
    with Session(node, authority.client_context()) as session:
        with socket.create_connection(("127.0.0.1", node.port), PATIENCE) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = plain.recv(65536)

        assert not answer.startswith(b"HTTP/")
        assert session.ask([64, 1, {}, "com.example.add"])[0] == 65


def test_clients_must_show_a_certificate_where_authorities_are_listed(
    authority: Authority, pair: Pair, start: Start
) -> None:
    node = start(tcp(certificate="server.pem", key="server.key", ca_certificates=[authority.certificate.name]))

    assert node.log().count("; certificates of clients are required") == 1
    with Session(node, authority.client_context(authority.issue("client"))) as session:
        assert session.ask([64, 1, {}, "com.example.add"])[0] == 65
    with pytest.raises((OSError, EOFError, WebSocketException)), Session(node, authority.client_context()):
        pass


def test_an_expired_certificate_is_served_with_a_warning(authority: Authority, start: Start, tmp_path: Path) -> None:
    authority.issue("server", expires=datetime.now(UTC) - timedelta(days=1))

    node = start(tcp(certificate="server.pem", key="server.key"))

    line = node.wait_for("WARNING")
    assert f"the certificate in {str(tmp_path / 'server.pem')!r} has expired on " in line
    assert line.endswith(", so clients will refuse it")


def test_a_node_without_tls_survives_sighup(start: Start) -> None:
    node = start(tcp())

    node.hang_up()

    assert node.wait_for("no certificates to reload")


@pytest.mark.parametrize("survives", [False, True], ids=["started plainly", "started with nohup"])
def test_when_the_terminal_goes_the_node_goes_unless_it_was_started_with_nohup(
    tmp_path: Path, *, survives: bool
) -> None:
    import pty

    arguments = [sys.executable, "-m", "rocade", "start", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(rocade.__file__).parents[1])}
    log = tmp_path / "log"
    child, terminal = pty.fork()
    if child == 0:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
        # Or it would be as the tests themselves were started.
        signal.signal(signal.SIGHUP, signal.SIG_IGN if survives else signal.SIG_DFL)
        os.execve(sys.executable, arguments, environment)
    try:
        wait_until(lambda: "ready; " in log.read_text() if log.exists() else False)

        os.close(terminal)

        if survives:
            wait_until(lambda: "no certificates to reload" in log.read_text())
            os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        child = 0
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nothing_of_certificates_is_loaded_without_tls() -> None:
    program = (
        "import sys\n"
        "from rocade.node.configuration import default_configuration\n"
        "from rocade.node.worker import Worker\n"
        "worker = Worker(default_configuration(port=0).worker)\n"
        "worker.bind()\n"
        "worker.close_sockets()\n"
        "print(*sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(rocade.__file__).parents[1])}

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, env=environment
    )

    assert "cryptography" not in done.stdout.split()
