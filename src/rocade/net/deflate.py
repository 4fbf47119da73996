"""Compression of WebSocket messages, sans-I/O: the extension permessage-deflate (RFC 7692).

What is agreed in the opening handshake, and the two directions of a connection on which it was.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, TypeAlias

EXTENSION = "permessage-deflate"

MAX_WINDOW_BITS = 15
MIN_WINDOW_BITS = 8
_MIN_ZLIB_WINDOW_BITS = 9
"""zlib knows no smaller window for what it compresses."""

_MAX_MEMORY_LEVEL = 9

# "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end", and append them again (sections 7.2.1, 7.2.2).
_TAIL = b"\x00\x00\xff\xff"

Offer: TypeAlias = tuple[str, dict[str, str | None]]
"""Name and parameters of an extension; None for a parameter without a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflateOptions:
    """What a server wants of compressed connections. "Request" is about what the client sends.

    Raises:
        ValueError: a number that zlib has no use for.
    """

    request_no_context_takeover: bool = False
    """Whether clients must compress each message by itself."""
    request_max_window_bits: int = 0
    """Largest window that clients may use, 9 to 15; those that do not offer to choose one are not compressed.
    0 leaves it to them."""
    no_context_takeover: bool = False
    """Whether we compress each message by itself."""
    max_window_bits: int = MAX_WINDOW_BITS
    """Window that we use, 9 to 15."""
    memory_level: int = zlib.DEF_MEM_LEVEL
    """Memory for compressing, 1 to 9."""

    def __post_init__(self) -> None:
        for bits in (self.request_max_window_bits or MAX_WINDOW_BITS, self.max_window_bits):
            if not _MIN_ZLIB_WINDOW_BITS <= bits <= MAX_WINDOW_BITS:
                raise ValueError(f"a window has from {_MIN_ZLIB_WINDOW_BITS} to {MAX_WINDOW_BITS} bits, not {bits}")
        if not 1 <= self.memory_level <= _MAX_MEMORY_LEVEL:
            raise ValueError(f"memory_level must be from 1 to {_MAX_MEMORY_LEVEL}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What server and client have agreed on (section 7.1)."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = MAX_WINDOW_BITS
    client_max_window_bits: int = MAX_WINDOW_BITS
    memory_level: int = zlib.DEF_MEM_LEVEL
    """Ours alone."""

    @property
    def header(self) -> str:
        """The value of `Sec-WebSocket-Extensions` that says so. What is as without saying is not said."""
        parts = [EXTENSION]
        for side, no_context_takeover, window_bits in (
            ("server", self.server_no_context_takeover, self.server_max_window_bits),
            ("client", self.client_no_context_takeover, self.client_max_window_bits),
        ):
            if no_context_takeover:
                parts.append(f"{side}_no_context_takeover")
            if window_bits != MAX_WINDOW_BITS:
                parts.append(f"{side}_max_window_bits={window_bits}")
        return "; ".join(parts)


# The handshake.


def negotiate(header: str, options: DeflateOptions) -> Agreement | None:
    """What comes of a client's offers.

    Args:
        header: `Sec-WebSocket-Extensions` of the request.
        options: what the server wants.
    Returns:
        The answer to the first offer, in the client's order of preference, that can be accepted; None to decline all.
    """
    for offer in header.split(","):
        try:
            name, parameters = _parsed(offer)
            if name == EXTENSION:
                return _accepted(parameters, options)
        except _Declined:
            continue
    return None


class _Declined(Exception):
    """This offer cannot be accepted."""


def _parsed(offer: str) -> Offer:
    # Not even a quoted value can have a comma or semicolon in it: it must be a token once the quotes are off
    # (RFC 6455, section 9.1).
    name, *rest = (part.strip() for part in offer.split(";"))
    parameters: dict[str, str | None] = {}
    for part in rest:
        key, has_value, value = (piece.strip() for piece in part.partition("="))
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        # "The extension negotiation offer contains multiple extension parameters with the same name": decline.
        if key in parameters:
            raise _Declined
        parameters[key] = value if has_value else None
    return name, parameters


def _accepted(parameters: dict[str, str | None], options: DeflateOptions) -> Agreement:
    for key, value in parameters.items():
        if key not in _PARAMETERS or (value is not None and key.endswith("_no_context_takeover")):
            raise _Declined
    server_bits = options.max_window_bits
    if "server_max_window_bits" in parameters:
        server_bits = min(server_bits, _window_bits(parameters["server_max_window_bits"]))
    if server_bits < _MIN_ZLIB_WINDOW_BITS:
        raise _Declined
    client_bits = options.request_max_window_bits or MAX_WINDOW_BITS
    if "client_max_window_bits" in parameters:
        hint = parameters["client_max_window_bits"]
        client_bits = client_bits if hint is None else min(client_bits, _window_bits(hint))
    elif options.request_max_window_bits:
        # "a server MUST NOT include" it in the response where the client has not.
        raise _Declined
    return Agreement(
        server_no_context_takeover=options.no_context_takeover or "server_no_context_takeover" in parameters,
        # From a client it is "a hint" that it will not take over any context anyway: agreeing saves our memory.
        client_no_context_takeover=options.request_no_context_takeover or "client_no_context_takeover" in parameters,
        server_max_window_bits=server_bits,
        client_max_window_bits=client_bits,
        memory_level=options.memory_level,
    )


_PARAMETERS = frozenset(
    f"{side}_{what}" for side in ("server", "client") for what in ("no_context_takeover", "max_window_bits")
)


def _window_bits(value: str | None) -> int:
    """ "a decimal integer value without leading zeroes between 8 to 15, inclusive"."""
    if value is not None:
        for bits in range(MIN_WINDOW_BITS, MAX_WINDOW_BITS + 1):
            if value == str(bits):
                return bits
    raise _Declined


# The two directions.


class InflatedTooLong(Exception):
    """A message is longer, once inflated, than there is room for."""


class CorruptMessage(Exception):
    """This is not what a deflater makes."""


class Deflater:
    """Compresses what a connection sends. It has no memory of its own before the first message."""

    __slots__ = ("_agreement", "_zlib")

    def __init__(self, agreement: Agreement) -> None:
        """
        Args:
            agreement: of the handshake.
        """
        self._agreement = agreement
        self._zlib: Any = None

    def deflate(self, data: bytes | memoryview, *, is_last: bool = True) -> bytes:
        """The payload of a frame with RSV1 set, or the next part of it.

        The peer's inflater must see every message in this order: whatever comes of this must be sent.

        Args:
            data: the message, or the next part of it; not empty.
            is_last: whether the message ends with it.
        """
        compressor = self._zlib
        agreement = self._agreement
        if compressor is None:
            bits, level = -agreement.server_max_window_bits, agreement.memory_level
            compressor = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, bits, level)
        # Where nothing is taken over, not even the memory has to stay.
        self._zlib = None if is_last and agreement.server_no_context_takeover else compressor
        deflated: bytes = compressor.compress(data)
        if is_last:
            deflated = (deflated + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]
        return deflated


class Inflater:
    """Takes apart what a connection receives. It has no memory of its own before the first message."""

    __slots__ = ("_agreement", "_zlib")

    def __init__(self, agreement: Agreement) -> None:
        """
        Args:
            agreement: of the handshake.
        """
        self._agreement = agreement
        self._zlib: Any = None

    def inflate(self, data: bytes, room: int, *, is_last: bool) -> bytes:
        """What a frame of a compressed message holds.

        Args:
            data: the frame's payload.
            room: bytes that may come of it. Not many more are ever made, whatever the peer sends.
            is_last: whether the message ends with this frame.
        Raises:
            InflatedTooLong: there is more.
            CorruptMessage: the peer's deflater is broken.
        """
        if is_last:
            data += _TAIL
        try:
            result = self._inflate(data, room)
        except zlib.error as error:
            raise CorruptMessage(str(error)) from None
        if len(result) > room:
            raise InflatedTooLong
        if is_last and self._agreement.client_no_context_takeover:
            self._zlib = None
        return result

    def _inflate(self, data: bytes, room: int) -> bytes:
        result: bytes = self._inflater().decompress(data, room + 1)
        if not self._zlib.eof:
            return result
        # A block marked as the final one (section 7.2.3.4): what follows is a stream of its own. Once in a frame, that
        # is a deflater that cannot flush in any other way; a million times, it would be an attack.
        rest = self._zlib.unused_data
        self._zlib = None
        if rest != _TAIL:
            result += self._inflater().decompress(rest, max(room - len(result), 0) + 1)
            if self._zlib.eof:
                raise CorruptMessage("more than one final block in a frame")
        return result

    def _inflater(self) -> Any:
        if self._zlib is None:
            # Those who agree on the smallest window send from the next larger one: old versions of zlib do.
            self._zlib = zlib.decompressobj(-max(self._agreement.client_max_window_bits, _MIN_ZLIB_WINDOW_BITS))
        return self._zlib


def longest_deflated(size: int) -> int:
    """Bytes that a compressed message of this size may have: incompressible data grows (zlib's own bound)."""
    return size + (size >> 3) + (size >> 6) + 64
