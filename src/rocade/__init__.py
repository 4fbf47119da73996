"""Rocade: a realtime router and framework, speaking WAMP v2.

- `rocade.connect` opens a session with a router: `async with rocade.connect("ws://127.0.0.1:8080/ws") as session:`.
  `help(rocade.Session)` tells what a session can do.
- `rocade.Application` turns functions into procedures and event handlers; its `run` starts a router as well.
- `rocade.blocking.connect` is for programs without an event loop, `rocade.testing` for tests.
- The command `rocade` runs a router: `rocade start`, `rocade --help`.

Names are imported when they are first used, so that a router does not pay for what only clients need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rocade import blocking as blocking
    from rocade.app.application import Application as Application
    from rocade.app.router import Router as Router
    from rocade.app.router import Sighting as Sighting
    from rocade.client.authentication import Anonymous as Anonymous
    from rocade.client.authentication import ClientCertificate as ClientCertificate
    from rocade.client.authentication import Cookie as Cookie
    from rocade.client.authentication import Credentials as Credentials
    from rocade.client.authentication import Cryptosign as Cryptosign
    from rocade.client.authentication import Jwt as Jwt
    from rocade.client.authentication import Scram as Scram
    from rocade.client.authentication import Ticket as Ticket
    from rocade.client.authentication import WampCra as WampCra
    from rocade.client.callee import Registration as Registration
    from rocade.client.component import Component as Component
    from rocade.client.component import load_component as load_component
    from rocade.client.component import run_component as run_component
    from rocade.client.connect import connect as connect
    from rocade.client.details import CallDetails as CallDetails
    from rocade.client.details import CallResult as CallResult
    from rocade.client.details import Context as Context
    from rocade.client.details import Event as Event
    from rocade.client.details import EventDetails as EventDetails
    from rocade.client.details import LeaveReason as LeaveReason
    from rocade.client.details import PastEvent as PastEvent
    from rocade.client.errors import error as error
    from rocade.client.options import CallOptions as CallOptions
    from rocade.client.options import PublishOptions as PublishOptions
    from rocade.client.options import RegisterOptions as RegisterOptions
    from rocade.client.options import SubscribeOptions as SubscribeOptions
    from rocade.client.reconnect import Reconnect as Reconnect
    from rocade.client.session import Session as Session
    from rocade.client.subscriber import EventStream as EventStream
    from rocade.client.subscriber import Subscription as Subscription
    from rocade.errors import ApplicationError as ApplicationError
    from rocade.errors import CallCanceled as CallCanceled
    from rocade.errors import CallTimeout as CallTimeout
    from rocade.errors import ConnectionFailed as ConnectionFailed
    from rocade.errors import ConnectionLost as ConnectionLost
    from rocade.errors import HandshakeRefused as HandshakeRefused
    from rocade.errors import InvalidArgument as InvalidArgument
    from rocade.errors import NoSuchProcedure as NoSuchProcedure
    from rocade.errors import NotAuthorized as NotAuthorized
    from rocade.errors import PayloadNotSerializable as PayloadNotSerializable
    from rocade.errors import PayloadTooLarge as PayloadTooLarge
    from rocade.errors import RocadeError as RocadeError
    from rocade.errors import SessionClosed as SessionClosed

# name -> module that has it
_LAZY = {
    "Anonymous": "rocade.client.authentication",
    "Application": "rocade.app.application",
    "ApplicationError": "rocade.errors",
    "CallCanceled": "rocade.errors",
    "CallDetails": "rocade.client.details",
    "CallOptions": "rocade.client.options",
    "CallResult": "rocade.client.details",
    "CallTimeout": "rocade.errors",
    "ClientCertificate": "rocade.client.authentication",
    "Component": "rocade.client.component",
    "ConnectionFailed": "rocade.errors",
    "ConnectionLost": "rocade.errors",
    "Context": "rocade.client.details",
    "Cookie": "rocade.client.authentication",
    "Credentials": "rocade.client.authentication",
    "Cryptosign": "rocade.client.authentication",
    "Event": "rocade.client.details",
    "EventDetails": "rocade.client.details",
    "EventStream": "rocade.client.subscriber",
    "HandshakeRefused": "rocade.errors",
    "InvalidArgument": "rocade.errors",
    "Jwt": "rocade.client.authentication",
    "LeaveReason": "rocade.client.details",
    "NoSuchProcedure": "rocade.errors",
    "NotAuthorized": "rocade.errors",
    "PastEvent": "rocade.client.details",
    "PayloadNotSerializable": "rocade.errors",
    "PayloadTooLarge": "rocade.errors",
    "PublishOptions": "rocade.client.options",
    "Reconnect": "rocade.client.reconnect",
    "RegisterOptions": "rocade.client.options",
    "Registration": "rocade.client.callee",
    "RocadeError": "rocade.errors",
    "Router": "rocade.app.router",
    "Scram": "rocade.client.authentication",
    "Session": "rocade.client.session",
    "SessionClosed": "rocade.errors",
    "Sighting": "rocade.app.router",
    "SubscribeOptions": "rocade.client.options",
    "Subscription": "rocade.client.subscriber",
    "Ticket": "rocade.client.authentication",
    "WampCra": "rocade.client.authentication",
    "connect": "rocade.client.connect",
    "error": "rocade.client.errors",
    "load_component": "rocade.client.component",
    "run_component": "rocade.client.component",
}
# modules that need no import of their own
_MODULES = ("blocking",)
__all__ = [*_LAZY, *_MODULES, "__version__"]


if not TYPE_CHECKING:  # type checkers would take every name for one that is there

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"rocade.{name}")
        module = _LAZY.get(name)
        if module is None:
            raise AttributeError(f"module 'rocade' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(module), name)
        return value


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
