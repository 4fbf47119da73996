"""autobahn-python logs in by a TLS client certificate."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.authority import Authority

from .router import PATIENCE_S, Router, configuration

PROGRAM = Path(__file__).parent / "programs" / "certificate_login.py"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the router and its clients trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def arguments(authority: Authority) -> list[str]:
    """What the program is told of four clients: two that are known, one that is not, and one without a certificate."""
    pairs = [authority.issue(name) for name in ("joe", "ann", "eve")]
    return [str(authority.certificate), *(f"{pair.certificate},{pair.key}" for pair in pairs), "-"]


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory, authority: Authority, arguments: list[str]) -> Iterator[Router]:
    """A router that knows joe by his certificate's fingerprint, and ann by the name in hers."""
    joe = Path(arguments[1].split(",")[0])
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(joe.read_text())).hexdigest()
    principals = {
        "joe": {"role": "anonymous", "certificate-sha256": fingerprint},
        "ann": {"role": "anonymous", "subject": {"commonName": "ann"}},
    }
    own = authority.issue("server")
    file = configuration()
    transport = file["workers"][0]["transports"][0]
    transport["endpoint"]["tls"] = {
        "certificate": str(own.certificate),
        "key": str(own.key),
        "ca_certificates": [str(authority.certificate)],
        "client_certificates": "optional",
    }
    for service in (transport["rawsocket"], transport["websocket"]["ws"]):
        service["auth"] = {"tls": {"type": "static", "principals": principals}}
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "config.json").write_text(json.dumps(file), encoding="utf-8")
    router = Router(folder / "router.log", "--config", str(folder / "config.json"))
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.log.read_text()


@pytest.mark.parametrize("address", ["wss://127.0.0.1:{}/ws", "rss://127.0.0.1:{}"], ids=["websocket", "rawsocket"])
def test_autobahn_python_is_known_by_its_certificate(router: Router, arguments: list[str], address: str) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, address.format(router.port), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ["joe", "anonymous", "tls"],
        ["ann", "anonymous", "tls"],
        ["wamp.error.authentication_failed"],
        ["wamp.error.no_matching_auth_method"],
    ], done.stderr
