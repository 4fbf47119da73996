"""Event history from the configuration file to the file that holds it."""

from __future__ import annotations

import asyncio
import logging
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.carriers import MemoryCarrier
from tests.conformance.peer import Peer

from rocade.errors import ConfigurationError
from rocade.node.configuration import Configuration, configuration_from
from rocade.node.realms import MemoryStore, SqliteStore
from rocade.node.worker import Worker
from rocade.serve.authentication import Anonymous
from rocade.wamp.codec import JSON
from rocade.wamp.messages import Call, CallOptions, Result

TOPIC = "com.example.topic"
MINIMAL: dict[str, Any] = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [
                {
                    "name": "realm1",
                    "roles": [
                        {
                            "name": "anonymous",
                            "permissions": [
                                {"uri": "*", "allow": {"call": True, "publish": True, "subscribe": True}},
                            ],
                        }
                    ],
                }
            ],
            "transports": [
                {
                    "type": "web",
                    "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                    "paths": {"/ws": {"type": "websocket"}},
                }
            ],
        }
    ],
}


def configured(store: Any, directory: Path, *others: Any, **options: Any) -> Configuration:
    """A configuration whose realm has this store; further realms have the others."""
    data = deepcopy(MINIMAL)
    realms = data["workers"][0]["realms"]
    realms[0].update(store=store, options=options)
    realms.extend({**deepcopy(realms[0]), "name": f"other{index}", "store": each} for index, each in enumerate(others))
    return configuration_from(data, directory=directory)


def test_the_form_is_that_of_crossbar(tmp_path: Path) -> None:
    entries = [{"uri": TOPIC, "match": "exact", "limit": 10000}, {"uri": "com.", "match": "prefix"}, {"uri": "org"}]

    store = configured({"type": "memory", "event-history": entries}, tmp_path).worker.realms[0].store

    assert isinstance(store, MemoryStore)
    assert [(entry.uri, entry.match, entry.limit) for entry in store.event_history] == [
        (TOPIC, "exact", 10000),
        ("com.", "prefix", None),
        ("org", "exact", None),
    ]
    assert store.limit == 100


def test_the_path_of_a_file_counts_from_the_directory_of_the_configuration(tmp_path: Path) -> None:
    store = configured({"type": "sqlite", "path": "history.db"}, tmp_path).worker.realms[0].store

    assert isinstance(store, SqliteStore)
    assert Path(store.path) == tmp_path / "history.db"
    assert not Path(store.path).exists(), "reading a configuration opens nothing"


@pytest.mark.parametrize(
    ("store", "path", "message"),
    [
        ({}, ".type", "is required ('memory' or 'sqlite')"),
        ({"type": "cfxdb"}, ".type", "'cfxdb' stores are not supported yet"),
        ({"type": "postgres"}, ".type", "expected 'memory' or 'sqlite', got 'postgres'"),
        ({"type": "sqlite"}, ".path", "is required"),
        ({"type": "memory", "path": "x"}, ".path", "unknown key"),
        ({"type": "memory", "call-queue": []}, ".call-queue", "not supported yet"),
        ({"type": "memory", "event-history": [{}]}, ".event-history[0].uri", "is required"),
        ({"type": "memory", "event-history": [{"uri": "a", "limit": 0}]}, ".event-history[0].limit", "from 1"),
        ({"type": "memory", "event-history": [{"uri": "a..b"}]}, ".event-history[0].uri", "'a..b' is no topic"),
        (
            {"type": "memory", "event-history": [{"uri": "a#", "match": "prefix"}]},
            ".event-history[0].uri",
            "'a#' is no prefix of topics",
        ),
        (
            {"type": "memory", "event-history": [{"uri": "wamp.session.on_join"}]},
            ".event-history[0].uri",
            "events of the protocol itself are not kept",
        ),
        (
            {"type": "sqlite", "path": "x", "event-history": [{"uri": "a"}, {"uri": "b"}, {"uri": "a", "limit": 5}]},
            ".event-history[2].uri",
            "'a' is there already (workers[0].realms[0].store.event-history[0])",
        ),
        ({"type": "memory", "limit": 100_001}, ".limit", "at most 100000"),
        ({"type": "memory", "event-history": [{"uri": "a", "limit": 100_001}]}, ".event-history[0].limit", "100000"),
    ],
)
def test_a_mistake_is_named_with_its_path(tmp_path: Path, store: Any, path: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(store, tmp_path)

    assert caught.value.path == f"workers[0].realms[0].store{path}"
    assert message in caught.value.message


def test_the_same_uri_may_match_in_several_ways(tmp_path: Path) -> None:
    entries = [{"uri": "a.b", "match": match} for match in ("exact", "prefix", "wildcard")]

    store = configured({"type": "memory", "event-history": entries}, tmp_path).worker.realms[0].store

    assert isinstance(store, MemoryStore)
    assert [entry.match for entry in store.event_history] == ["exact", "prefix", "wildcard"]


def test_strict_uris_are_strict_here_too(tmp_path: Path) -> None:
    store = {"type": "memory", "event-history": [{"uri": "com.Example"}]}

    configured(store, tmp_path)
    with pytest.raises(ConfigurationError, match=r"event-history\[0\]\.uri"):
        configured(store, tmp_path, uri_check="strict")


def test_each_realm_needs_a_file_of_its_own(tmp_path: Path) -> None:
    store = {"type": "sqlite", "path": "history.db"}

    with pytest.raises(
        ConfigurationError, match=r"realms\[1\]\.store\.path: workers\[0\]\.realms\[0\] has the same file"
    ):
        configured(store, tmp_path, {"type": "sqlite", "path": "../" + tmp_path.name + "/history.db"})
    configured(store, tmp_path, {"type": "sqlite", "path": "other.db"}, {"type": "memory"})


# --- a worker --------------------------------------------------------------------------------------


async def peer_of(worker: Worker) -> Peer:
    """A client of a worker's realm."""
    peer = Peer(MemoryCarrier(worker.gateway.entrance({"anonymous": Anonymous("anonymous")}), JSON), JSON)
    await peer.join("realm1")
    return peer


async def history(peer: Peer) -> list[Any]:
    """Arguments of the events of the topic's history."""
    await peer.call("wamp.subscription.lookup", TOPIC)
    (subscription,) = (await peer.expect(Result)).args
    await peer.send(Call(peer.next_request(), CallOptions(), "wamp.subscription.get_events", [subscription]))
    return [event["args"] for event in (await peer.expect(Result)).args]


async def session(worker: Worker, *values: int) -> list[Any]:
    """Run a worker, publish, and return what its history has then."""
    worker.bind()
    await worker.start()
    peer = await peer_of(worker)
    for value in values:
        await peer.publish(TOPIC, value)
    events = await history(peer)
    # Unread and unwritten still, when the worker is told to stop.
    await peer.publish(TOPIC, "last")
    await peer.close()
    await worker.stop()
    return events


@pytest.mark.parametrize(("kind", "survives"), [("memory", False), ("sqlite", True)])
def test_events_in_a_file_survive_a_restart(tmp_path: Path, kind: str, survives: bool) -> None:
    store = {"type": kind, "event-history": [{"uri": TOPIC}], "limit": 5}
    if kind == "sqlite":
        store["path"] = "history.db"

    first = asyncio.run(session(Worker(configured(store, tmp_path).worker), 1, 2))
    second = asyncio.run(session(Worker(configured(store, tmp_path).worker), 3, 4, 5))

    assert first == [[1], [2]]
    assert second == ([[2], ["last"], [3], [4], [5]] if survives else [[3], [4], [5]])


def test_a_file_that_cannot_be_used_ends_the_start_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "b.db").write_bytes(b"something else entirely" * 100)
    stores = [{"type": "sqlite", "path": name, "event-history": [{"uri": TOPIC}]} for name in ("a.db", "b.db")]
    worker = Worker(configured(stores[0], tmp_path, stores[1]).worker)

    with pytest.raises(ConfigurationError) as caught:
        worker.bind()

    assert caught.value.path == "workers[0].realms[1].store.path"
    assert "b.db' cannot hold event history: file is not a database" in caught.value.message
    other = Worker(configured(stores[0], tmp_path).worker)
    other._open_stores()
    other._close_stores()


def test_a_file_that_another_node_uses_ends_the_start(tmp_path: Path) -> None:
    store = {"type": "sqlite", "path": "history.db", "event-history": [{"uri": TOPIC}]}
    worker, other = (Worker(configured(store, tmp_path).worker) for _ in range(2))
    worker.bind()

    with pytest.raises(ConfigurationError, match=r"realms\[0\]\.store\.path: .* another process uses it"):
        other.bind()

    worker.close_sockets()
    worker._close_stores()


def test_stopping_leaves_no_complaint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = {"type": "sqlite", "path": "history.db", "event-history": [{"uri": TOPIC}]}

    asyncio.run(session(Worker(configured(store, tmp_path).worker), 1))

    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert [file.name for file in tmp_path.iterdir()] == ["history.db"], "no WAL is left behind"
