"""The configuration file as types: one struct per object of the file, one field per key.

These structs are the file format, its validation and its documentation at once: a field's description is what
the reference shows, its type and limits are what is checked, its name is the key (`msgspec.field(name=…)` where
the key is no Python name). The shape is that of Crossbar.io's configuration, version 2. This module has the trunk
of the tree; `realms`, `transports` and `services` have its branches.

Crossbar's keys, types and values that Rocade does not have yet are listed beside those that it has (`refused`),
and answered by name instead of being ignored.

The file speaks Crossbar's milliseconds; properties of the structs give seconds.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from rocade.node.limits import ProcessLimits
from rocade.node.realms import Realm
from rocade.node.section import Identifier, Section
from rocade.node.transports import TesteeTransport, Transport

__all__ = ["ONE_WORKER", "Configuration", "Controller", "RouterWorker", "TesteeWorker", "Worker", "WorkerOptions"]

ONE_WORKER = "Rocade 0.1 runs one router worker"

_OTHER_WORKERS = {
    kind: f"'{kind}' workers are not supported yet ({ONE_WORKER})"
    for kind in ("container", "guest", "hostmonitor", "marketplace", "proxy", "xbrmm")
}


class Controller(Section, kw_only=True, frozen=True):
    """The process that supervises the workers."""

    refused: ClassVar = {
        key: f"'{key}' of the controller is not supported yet"
        for key in ("blockchain", "connections", "enable_docker", "extra", "fabric", "keyring", "manhole", "options")
    }

    id: Identifier | None = None


class WorkerOptions(Section, kw_only=True, frozen=True):
    """How a worker process runs."""

    refused: ClassVar = {
        key: f"the worker option '{key}' is not supported yet"
        for key in (
            "cpu_affinity",
            "disabled",
            "env",
            "expose_controller",
            "expose_shared",
            "extra",
            "python",
            "pythonpath",
            "reactor",
            "title",
        )
    }

    resume_window: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds that a session outlives its connection if its client asks for it; 0: none does. "
            "Rocade's own addition.",
        ),
    ] = 30.0
    max_outbox_size: Annotated[
        int,
        Meta(
            ge=64 * 1024,
            description="Bytes that may wait for one client that reads too slowly, before it is disconnected. "
            "Rocade's own addition.",
        ),
    ] = 64 * 1024 * 1024


class RouterWorker(Section, kw_only=True, frozen=True, tag_field="type", tag="router"):
    """A process that routes: its realms, and the transports that lead to them."""

    refused: ClassVar = {
        "components": "components inside the router are not supported yet",
        "connections": "database connections are not supported yet",
        "manhole": "a debugging shell is not supported yet",
    }

    id: Identifier | None = None
    options: Annotated[WorkerOptions, Meta(description="How the process runs.")] = WorkerOptions()
    limits: Annotated[ProcessLimits, Meta(description="Limits of the whole process.")] = ProcessLimits()
    realms: Annotated[tuple[Realm, ...], Meta(description="Routing namespaces.")] = ()
    transports: Annotated[tuple[Transport, ...], Meta(description="Where and how clients connect.")] = ()

    def realm(self, name: str) -> Realm | None:
        """The realm of that name, if this worker has it."""
        return next((realm for realm in self.realms if realm.name == name), None)

    def transport_path(self, position: int) -> str:
        """Where in the file a transport stands."""
        return f"workers[0].transports[{position}]"


class TesteeWorker(Section, kw_only=True, frozen=True, tag_field="type", tag="websocket-testee"):
    """A process without realms, for compliance tests of the WebSocket code: it sends every message back."""

    id: Identifier | None = None
    options: Annotated[WorkerOptions, Meta(description="How the process runs.")] = WorkerOptions()
    transport: Annotated[TesteeTransport, Meta(description="Where and how clients connect.")]

    @property
    def limits(self) -> ProcessLimits:
        """There are none."""
        return ProcessLimits()

    @property
    def realms(self) -> tuple[Realm, ...]:
        """There are none."""
        return ()

    @property
    def transports(self) -> tuple[Transport, ...]:
        """The only one."""
        return (self.transport,)

    def transport_path(self, _position: int) -> str:
        """Where in the file the transport stands."""
        return "workers[0].transport"


Worker = Annotated[
    RouterWorker | TesteeWorker, Meta(description="One of the kinds of workers.", extra={"refused": _OTHER_WORKERS})
]
"""What a process of the node does."""


class Configuration(Section, kw_only=True, frozen=True):
    """A whole configuration file."""

    version: Annotated[
        Literal[1, 2],
        Meta(description="Version of the format. Left out: 1, whose short form of permissions is read all the same."),
    ] = 1
    schema: Annotated[str | None, Meta(description="For editors; not looked at.")] = field(name="$schema", default=None)
    controller: Annotated[Controller, Meta(description="The supervising process.")] = Controller()
    workers: Annotated[tuple[Worker, ...], Meta(description="The processes of this node.")] = ()

    @property
    def worker(self) -> RouterWorker | TesteeWorker:
        """The node's worker; a checked configuration has exactly one."""
        return self.workers[0]
