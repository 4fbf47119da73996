"""The parameters of `rocade.connect`, for functions that hand them on: type checkers know them there, too."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from rocade.client.authentication import Credentials
from rocade.client.reconnect import Reconnect
from rocade.client.session import Hook

__all__ = ["ConnectParameters", "SessionParameters"]


class SessionParameters(TypedDict, total=False):
    """What there is to say of every session; see `rocade.connect`."""

    credentials: Credentials | Sequence[Credentials] | None
    timeout: float
    reconnect: Reconnect | bool
    resumable: bool
    threads: int
    authrole: str | None
    authextra: dict[str, Any] | None
    agent: str | None
    on_connect: Hook | None
    on_join: Hook | None
    on_resume: Hook | None
    on_leave: Hook | None
    on_disconnect: Hook | None


class ConnectParameters(SessionParameters, total=False):
    """What there is to say of sessions with a router elsewhere, too; see `rocade.connect`."""

    serializer: str | Sequence[str] | None
    tls: ssl.SSLContext | str | None
    headers: Mapping[str, str] | None
    ping_interval: float
    ping_timeout: float
