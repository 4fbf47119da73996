"""A WebSocket endpoint that sends every message back: what compliance tests of the WebSocket code talk to.

Everything is as on endpoints that carry WAMP, except that no subprotocol is needed, and that text and binary messages
may alternate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from rocade.net.packed import PackedConnection
from rocade.net.reading import Reading
from rocade.net.surroundings import Surroundings
from rocade.net.websocket import Acceptance, WebSocketEndpoint, WebSocketOptions
from rocade.net.websocket_connection import WebSocketConnection
from rocade.net.wires import BINARY, TEXT


class TesteeEndpoint(WebSocketEndpoint):
    """Where the clients of a compliance test arrive."""

    def __init__(self, options: WebSocketOptions) -> None:
        """
        Args:
            options: the settings; those about subprotocols and serializers have no effect.
        """
        super().__init__(options, lambda link: _Echo(cast(WebSocketConnection, link)))

    def choose_subprotocol(self, headers: Mapping[str, str]) -> str:
        """None is needed, and none known."""
        return ""

    def new_connection(self, surroundings: Surroundings, acceptance: Acceptance) -> WebSocketConnection:
        """See `WebSocketEndpoint`."""
        if acceptance.agreement is None:
            return _Testee(surroundings, acceptance.wire, self.options)
        return _CompressedTestee(
            surroundings, acceptance.wire, self.options, is_batched=False, agreement=acceptance.agreement
        )


class _OtherType(bytes):
    """A message of the type that the wire's serializer does not use."""


class _BothTypes:
    """Delivers messages of both types."""

    __slots__ = ()

    _reading: Reading

    def _handle_other_type(self, data: bytes) -> None:
        self._reading.deliver(_OtherType(data))


class _Testee(_BothTypes, WebSocketConnection):
    __slots__ = ()


class _CompressedTestee(_BothTypes, PackedConnection):
    __slots__ = ()


class _Echo:
    """The receiver of a link: sends everything back, and reads no faster than that."""

    def __init__(self, link: WebSocketConnection) -> None:
        self._link = link
        is_binary = link.wire.serializer.is_binary
        self._own, self._other = (BINARY, TEXT) if is_binary else (TEXT, BINARY)

    def message_received(self, data: bytes | memoryview) -> None:
        assert isinstance(data, bytes), "views come from batches"
        opcode = self._other if type(data) is _OtherType else self._own
        if opcode == TEXT and not _is_utf8(data):
            self._link.fail_text()
        else:
            self._link.send(opcode, data)

    def writing_paused(self) -> None:
        self._link.pause_reading()

    def writing_resumed(self) -> None:
        self._link.resume_reading()

    def link_lost(self, reason: str) -> None:
        """Nothing is kept."""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
