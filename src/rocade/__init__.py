"""Rocade: a realtime router and framework, speaking WAMP v2.

The client is here, too: `rocade.connect`. Names are imported when they are first used, so that a router does not pay
for what only clients need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rocade.app.application import Application as Application
    from rocade.app.router import Router as Router
    from rocade.app.router import Sighting as Sighting
    from rocade.client.authentication import Anonymous as Anonymous
    from rocade.client.connect import connect as connect
    from rocade.client.connector import Reconnect as Reconnect
    from rocade.client.details import CallDetails as CallDetails
    from rocade.client.details import CallResult as CallResult
    from rocade.client.details import Context as Context
    from rocade.client.details import Event as Event
    from rocade.client.details import EventDetails as EventDetails
    from rocade.client.errors import error as error
    from rocade.client.options import CallOptions as CallOptions
    from rocade.client.options import PublishOptions as PublishOptions
    from rocade.client.options import RegisterOptions as RegisterOptions
    from rocade.client.options import SubscribeOptions as SubscribeOptions
    from rocade.client.session import Session as Session
    from rocade.errors import ApplicationError as ApplicationError

# name -> module that has it
_LAZY = {
    "Anonymous": "rocade.client.authentication",
    "Application": "rocade.app.application",
    "ApplicationError": "rocade.errors",
    "CallDetails": "rocade.client.details",
    "CallOptions": "rocade.client.options",
    "CallResult": "rocade.client.details",
    "Context": "rocade.client.details",
    "Event": "rocade.client.details",
    "EventDetails": "rocade.client.details",
    "PublishOptions": "rocade.client.options",
    "Reconnect": "rocade.client.connector",
    "RegisterOptions": "rocade.client.options",
    "Router": "rocade.app.router",
    "Session": "rocade.client.session",
    "Sighting": "rocade.app.router",
    "SubscribeOptions": "rocade.client.options",
    "connect": "rocade.client.connect",
    "error": "rocade.client.errors",
}
__all__ = [*_LAZY, "__version__"]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'rocade' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
