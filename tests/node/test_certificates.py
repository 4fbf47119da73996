"""The `tls` object of an endpoint: what it accepts, where its files are, and what is said of mistakes."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Authority, Pair

from rocade.cli import main
from rocade.errors import ConfigurationError
from rocade.node.configuration import Configuration, configuration_from, read_configuration
from rocade.node.safety import problems
from rocade.node.transports import TLS
from rocade.node.worker import Worker

ENDPOINT = "workers[0].transports[0].endpoint"
TCP: dict[str, Any] = {"type": "tcp", "port": 0}
SERVER = {"certificate": "server.pem", "key": "server.key"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs the certificates of a test."""
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    """Files `server.pem` and `server.key` in the test's directory."""
    return authority.issue("server")


def data(tls: Any, endpoint: dict[str, Any] = TCP) -> dict[str, Any]:
    """A configuration with everything for everybody on an endpoint."""
    everything = {"uri": "*", "call": True, "register": True, "publish": True, "subscribe": True}
    transport = {"type": "universal", "endpoint": {**endpoint, "tls": tls}, "rawsocket": {}}
    transport["websocket"] = {"ws": {"type": "websocket"}}
    realm = {"name": "realm1", "roles": [{"name": "anonymous", "permissions": [everything]}]}
    return {"version": 2, "workers": [{"type": "router", "realms": [realm], "transports": [transport]}]}


def configured(directory: Path, endpoint: dict[str, Any] = TCP, **tls: Any) -> Configuration:
    return configuration_from(data({**SERVER, **tls}, endpoint), directory=directory)


def refusal(directory: Path, **tls: Any) -> tuple[str, str]:
    """Path and message of the error that these settings lead to."""
    with pytest.raises(ConfigurationError) as caught:
        configured(directory, **tls)
    return caught.value.path, caught.value.message


def tls_of(configuration: Configuration) -> TLS:
    tls = configuration.worker.transports[0].endpoint.tls
    assert tls is not None
    return tls


def test_files_count_from_the_configuration_file(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps(data(SERVER)))
    monkeypatch.chdir("/")

    tls = tls_of(read_configuration(tmp_path / "config.json"))

    assert (tls.certificate, tls.key) == (str(pair.certificate), str(pair.key))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_everything_that_crossbar_has_is_accepted(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", "dhparam.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    configuration = configured(
        tmp_path,
        chain_certificates=[authority.certificate.name],
        ca_certificates=[authority.certificate.name],
        dhparam="dhparam.pem",
        ciphers="ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA256:DHE-RSA-AES128-SHA256:",
    )

    assert tls_of(configuration).asks_for_certificates == "required"


def test_clients_are_asked_for_certificates_only_where_authorities_are_listed(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    listed = [authority.certificate.name]

    assert tls_of(configured(tmp_path)).asks_for_certificates is None
    assert tls_of(configured(tmp_path, ca_certificates=listed)).asks_for_certificates == "required"
    optional = configured(tmp_path, ca_certificates=listed, client_certificates="optional")
    assert tls_of(optional).asks_for_certificates == "optional"


def test_mistakes_are_named_by_their_path(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere.pem")
    unreadable = f"{nowhere!r} cannot be read: No such file or directory"

    assert refusal(tmp_path, certificate="nowhere.pem") == (f"{ENDPOINT}.tls.certificate", unreadable)
    assert refusal(tmp_path, chain_certificates=["server.pem", "nowhere.pem"]) == (
        f"{ENDPOINT}.tls.chain_certificates[1]",
        unreadable,
    )
    assert refusal(tmp_path, ca_certificates=[]) == (f"{ENDPOINT}.tls.ca_certificates", "must not be empty")
    assert refusal(tmp_path, client_certificates="required") == (
        f"{ENDPOINT}.tls.client_certificates",
        "needs 'ca_certificates' to compare them with",
    )
    assert refusal(tmp_path, minimum_version="1.1") == (
        f"{ENDPOINT}.tls.minimum_version",
        "expected '1.2' or '1.3', got '1.1'",
    )
    assert refusal(tmp_path, certficate="x") == (
        f"{ENDPOINT}.tls.certficate",
        "unknown key; did you mean 'certificate'?",
    )


def test_a_file_that_went_bad_after_the_check_is_an_error_before_anything_listens(pair: Pair, tmp_path: Path) -> None:
    worker = Worker(configured(tmp_path).worker)
    pair.key.unlink()

    with pytest.raises(ConfigurationError, match=r"transports\[0\]\.endpoint\.tls\.key: .* cannot be read"):
        worker.bind()


def test_unix_sockets_may_have_tls(pair: Pair, tmp_path: Path) -> None:
    worker = Worker(configured(tmp_path, {"type": "unix", "path": "rocade.sock"}).worker)

    worker.bind()
    lines = worker.describe()
    worker.close_sockets()

    address = f"unix:{tmp_path / 'rocade.sock'}"
    assert lines[0].startswith(f"WebSocket on {address} at /ws over TLS (")
    assert lines[1].startswith(f"RawSocket on {address} over TLS (")
    assert lines[2].startswith(f"TLS on {address}: certificate of localhost, ")


def test_who_has_to_show_a_certificate_is_no_stranger(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    listed = {"ca_certificates": [authority.certificate.name]}

    assert problems(configured(tmp_path)) != []
    assert problems(configured(tmp_path, **listed, client_certificates="optional")) != []
    assert problems(configured(tmp_path, **listed)) == []


def test_check_loads_the_files_and_says_what_is_in_them(
    authority: Authority, pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority.issue("server", "router.example", expires=datetime.now(UTC) - timedelta(days=1))
    file = tmp_path / "config.json"
    file.write_text(json.dumps(data(SERVER, {**TCP, "interface": "127.0.0.1"})))

    with pytest.raises(SystemExit) as caught:
        main(["check", "--config", str(file)])

    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  listens on 127.0.0.1:0 over TLS" in lines
    assert any(line.startswith("    certificate of router.example, valid until ") for line in lines)
    refused = f"    clients will refuse it: the certificate in {str(pair.certificate)!r} has expired on "
    assert any(line.startswith(refused) for line in lines)
