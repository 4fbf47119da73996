"""Options of Crossbar's files: what has an effect, what is only remarked on, and what is refused."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.authority import Authority

from rocade.errors import ConfigurationError
from rocade.node import settings
from rocade.node.configuration import configuration_from
from rocade.node.remarks import remarks
from rocade.node.settings import Configuration
from rocade.node.worker import Worker

PLACE = "workers[0].transports[0]"

HARMLESS: dict[str, Any] = {
    "external_port": 443,
    "flash_policy": "policy.xml",
    "enable_flash_policy": True,
    "enable_hybi10": True,
    "enable_webstatus": False,
    "validate_utf8": False,
    "mask_server_frames": True,
    "auto_fragment_size": 65536,
    "fail_by_drop": True,
    "echo_close_codereason": False,
    "tcp_nodelay": False,
    "auto_ping_size": 100,
    "auto_ping_restart_on_any_traffic": False,
    "show_server_version": True,
}
"""Options of a WebSocket with values that ask for something that nobody needs."""


def configuration(
    *,
    websocket: dict[str, Any] | None = None,
    web: dict[str, Any] | None = None,
    realm: dict[str, Any] | None = None,
    tls: dict[str, str] | None = None,
) -> Configuration:
    """A router with a WebSocket and a JSON value, and options for the parts."""
    endpoint: dict[str, Any] = {"type": "tcp", "interface": "127.0.0.1", "port": 0}
    if tls is not None:
        endpoint["tls"] = tls
    transport = {
        "type": "web",
        "endpoint": endpoint,
        "paths": {
            "/": {"type": "json", "value": 1},
            "/ws": {"type": "websocket", "debug": True, "options": websocket or {}},
        },
        "options": web or {},
    }
    realm = {"name": "realm1", "roles": [{"name": "anonymous"}], "options": realm or {}}
    return configuration_from(
        {"version": 2, "workers": [{"type": "router", "realms": [realm], "transports": [transport]}]}, environment={}
    )


def router(configured: Configuration) -> Worker:
    assert isinstance(configured.worker, settings.RouterWorker)
    return Worker(configured.worker)


async def response(worker: Worker, scheme: str = "http", **how: Any) -> httpx.Response:
    """The answer to a request for the JSON value."""
    worker.bind()
    await worker.start()
    line = next(line for line in worker.describe() if line.startswith("a JSON value on "))
    async with httpx.AsyncClient(trust_env=False, **how) as http:
        answer = await http.get(line.removeprefix("a JSON value on "))
    await worker.stop()
    assert str(answer.url).startswith(scheme + "://")
    return answer


@pytest.mark.parametrize("option", HARMLESS)
def test_what_means_nothing_here_is_accepted_and_remarked_on(option: str) -> None:
    found = remarks(configuration(websocket={option: HARMLESS[option]}))

    place = f'{PLACE}.paths["/ws"]'
    assert [remark.partition(": ")[0] for remark in found] == [
        f"{place}.debug has no effect",
        f"{place}.options.{option} has no effect",
    ]


def test_what_asks_for_nothing_special_is_not_remarked_on() -> None:
    options = {"echo_close_codereason": True, "tcp_nodelay": True, "validate_utf8": True, "fail_by_drop": False}

    found = remarks(configuration(websocket=options, web={"display_tracebacks": False}))

    assert len(found) == 1  # debug


def test_a_realm_that_asks_for_chunks_of_events_is_accepted() -> None:
    found = remarks(configuration(realm={"event_dispatching_chunk_size": 100}))

    place = "workers[0].realms[0].options.event_dispatching_chunk_size"
    assert found[0].startswith(f"{place} has no effect: publishers are held back instead")


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ({"realm": {"enable_meta_api": False}}, "workers[0].realms[0].options.enable_meta_api"),
        ({"realm": {"bridge_meta_api": True}}, "workers[0].realms[0].options.bridge_meta_api"),
        (
            {"websocket": {"require_masked_client_frames": False}},
            f'{PLACE}.paths["/ws"].options.require_masked_client_frames',
        ),
        ({"websocket": {"apply_mask": False}}, f'{PLACE}.paths["/ws"].options.apply_mask'),
        ({"websocket": {"enable_rfc6455": False}}, f'{PLACE}.paths["/ws"].options.enable_rfc6455'),
        ({"websocket": {"max_frame_size": 1000}}, f'{PLACE}.paths["/ws"].options.max_frame_size'),
    ],
)
def test_what_would_change_who_may_do_what_is_refused(parts: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configuration(**parts)

    assert caught.value.path == place


def test_browsers_are_told_to_insist_on_https(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("server")
    tls = {"certificate": str(files.certificate), "key": str(files.key)}
    context = authority.client_context()

    with_default = asyncio.run(response(router(configuration(web={"hsts": True}, tls=tls)), "https", verify=context))
    with_age = asyncio.run(
        response(router(configuration(web={"hsts": True, "hsts_max_age": 60}, tls=tls)), "https", verify=context)
    )
    without = asyncio.run(response(router(configuration(tls=tls)), "https", verify=context))

    assert with_default.headers["strict-transport-security"] == "max-age=31536000"
    assert with_age.headers["strict-transport-security"] == "max-age=60"
    assert "strict-transport-security" not in without.headers


def test_without_tls_browsers_are_told_nothing() -> None:
    answer = asyncio.run(response(router(configuration(web={"hsts": True}))))

    assert "strict-transport-security" not in answer.headers


def test_requests_are_logged_if_the_file_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="rocade.access")

    asyncio.run(response(router(configuration())))
    asyncio.run(response(router(configuration(web={"access_log": True, "client_timeout": 2}))))

    assert [record.getMessage() for record in caplog.records if record.name == "rocade.access"] == [
        "127.0.0.1 GET /: 200"
    ]
