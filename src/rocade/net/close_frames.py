"""What is in a CLOSE frame of a WebSocket (RFC 6455, sections 5.5.1 and 7.4)."""

from __future__ import annotations

__all__ = [
    "GOING_AWAY",
    "INTERNAL_ERROR",
    "INVALID_DATA",
    "MESSAGE_TOO_BIG",
    "NORMAL_CLOSURE",
    "PROTOCOL_ERROR",
    "UNSUPPORTED_DATA",
    "InvalidClose",
    "closed_by_peer",
    "decode_close",
    "encode_close",
]

NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
UNSUPPORTED_DATA = 1003
INVALID_DATA = 1007
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011

# Control frames carry 125 bytes, two of which are the code (section 5.5).
_MAX_REASON_BYTES = 123


class InvalidClose(ValueError):
    """A CLOSE frame that RFC 6455 does not allow; `code` is the close code to answer."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def encode_close(code: int, reason: str) -> bytes:
    """Payload of a CLOSE frame; a reason that is too long is cut at a character."""
    text = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
    return code.to_bytes(2, "big") + text.encode()


def decode_close(payload: bytes) -> tuple[int | None, str]:
    """Code (None where there is none) and reason of a CLOSE frame.

    Raises:
        InvalidClose: a code that must not be on the wire, or a reason that is not UTF-8.
    """
    if not payload:
        return None, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not _is_close_code(code):
        raise InvalidClose(PROTOCOL_ERROR, "invalid close code")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise InvalidClose(INVALID_DATA, "the reason for closing is not UTF-8") from None


def _is_close_code(code: int) -> bool:
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


def closed_by_peer(code: int | None, reason: str) -> str:
    """Why a connection is gone, for `Receiver.link_lost`.

    Args:
        code, reason: as `decode_close` returns them.
    """
    details = " ".join(filter(None, (str(code or ""), reason)))
    return f"closed by peer ({details})" if details else "closed by peer"
