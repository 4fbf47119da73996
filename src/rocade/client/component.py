"""Components: classes that do their work in a session, and that a worker can load by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from rocade.client.connect import DEFAULT_URL, Connecting, connect
from rocade.client.details import LeaveReason
from rocade.client.session import Session
from rocade.errors import ConfigurationError

__all__ = ["Component", "load_component", "run_component"]

_HOOKS = ("on_connect", "on_join", "on_resume", "on_leave", "on_disconnect")


class Component:
    """A base class; override what you need. Any other class with methods of these names will do as well."""

    def __init__(self, extra: Any = None) -> None:
        """
        Args:
            extra: whatever the component is configured with.
        """
        self.extra = extra

    async def on_connect(self, session: Session) -> None:
        """There is a new connection; the session is opened on it next."""

    async def on_join(self, session: Session) -> None:
        """There is a new session: the place to register and to subscribe. Called again when a lost session had to be
        replaced by a new one."""

    async def on_resume(self, session: Session) -> None:
        """A lost connection was replaced, and the session goes on."""

    async def on_leave(self, session: Session, reason: LeaveReason) -> None:
        """The session is over."""

    async def on_disconnect(self, session: Session, reason: str) -> None:
        """The connection is gone; the reason is in plain words."""


def load_component(name: str, extra: Any = None) -> Any:
    """An object of a class that is named by text.

    Args:
        name: "package.module:Class"; a dot in place of the colon will do.
        extra: what it is configured with; the only argument of the class, left out where it is None.
    Raises:
        ConfigurationError: there is no such module or class. What goes wrong within the module is raised as it is.
    """
    module_name, colon, path = name.partition(":")
    if not colon:
        module_name, _, path = name.rpartition(".")
    if not module_name or not path:
        raise ConfigurationError("", f"{name!r} does not name a class: write 'package.module:Class'")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Another one that the module itself misses is its own affair.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError("", f"{name!r}: there is no module {error.name!r}") from None
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigurationError("", f"{name!r}: there is no class {path!r} in {module_name!r}")
    if not any(hasattr(found, hook) for hook in _HOOKS):
        raise ConfigurationError("", f"{name!r} has none of the methods {', '.join(_HOOKS)}")
    return found() if extra is None else found(extra)


async def run_component(
    component: Any,
    url: str = DEFAULT_URL,
    realm: str = "realm1",
    *,
    connector: Callable[..., Connecting] = connect,
    **options: Any,
) -> None:
    """Run a component until its session is over for good: closed by itself, or given up.

    Args:
        component: an object, or the name of its class, see `load_component`.
        url, realm, **options: see `connect`.
        connector: what connects, in place of `connect`; called with the same arguments.
    Raises:
        Exception: what `connect` raises, or why the session was given up.
    """
    if isinstance(component, str):
        component = load_component(component)
    hooks = {name: getattr(component, name) for name in _HOOKS if hasattr(component, name)}
    async with connector(url, realm, **hooks, **options) as session:
        await session.wait_closed()
