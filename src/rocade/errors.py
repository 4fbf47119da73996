"""What can go wrong, as one tree. Every exception knows the WAMP error URI that tells a peer about it.

::

    RocadeError
    ├── ApplicationError            an ERROR with a URI of its own, in either direction
    ├── ProtocolViolation           the peer broke the protocol: ABORT and close
    │   └── InvalidMessage          bytes that are no WAMP message
    │       └── NotUtf8             and no text at all
    ├── PayloadNotSerializable      a value that a serializer has no form for
    │   ├── PayloadTooLarge         more than a transport can carry
    │   └── TranslationTakesLong    not here and now, at least
    ├── CheckFailed                 it could not be found out whether a long message is valid: ABORT and close
    ├── HandshakeRefused            a session was not opened: ABORT
    │   └── AuthenticationFailed    the client is not who it claims to be
    └── ConfigurationError          a configuration that cannot be used, with the path into it
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ApplicationError",
    "AuthenticationFailed",
    "CheckFailed",
    "ConfigurationError",
    "HandshakeRefused",
    "InvalidMessage",
    "NotUtf8",
    "PayloadNotSerializable",
    "PayloadTooLarge",
    "ProtocolViolation",
    "RocadeError",
    "TranslationTakesLong",
]


class RocadeError(Exception):
    """Anything that Rocade itself raises."""

    uri = "wamp.error.runtime_error"
    """What a peer is told when this exception ends its request."""


class ApplicationError(RocadeError):
    """A request that is answered by ERROR, with a URI, arguments and keyword arguments."""

    def __init__(self, uri: str, *args: Any, **kwargs: Any) -> None:
        """
        Args:
            uri: the error's URI, such as "com.example.out_of_stock".
            *args: positional payload.
            **kwargs: keyword payload.
        """
        super().__init__(uri, *args)
        self.uri = uri
        self.arguments = args
        self.keyword_arguments = kwargs

    def __str__(self) -> str:
        text = " ".join(str(argument) for argument in self.arguments)
        return f"{self.uri}: {text}" if text else self.uri


class ProtocolViolation(RocadeError):
    """The peer sent what the protocol forbids; its session is aborted (basic/building_blocks.md, protocol errors)."""

    uri = "wamp.error.protocol_violation"


class InvalidMessage(ProtocolViolation):
    """Bytes that do not decode to a WAMP message; the text names what was wrong and where."""


class NotUtf8(InvalidMessage):
    """The bytes of a text are not UTF-8. On a WebSocket that is an error of the transport itself, code 1007."""


class CheckFailed(RocadeError):
    """It could not be found out whether a long message is valid, or what it is in another serializer."""

    def __init__(self, uri: str, text: str) -> None:
        """
        Args:
            uri: what the peer is told.
            text: why, in plain words.
        """
        super().__init__(text)
        self.uri = uri


class PayloadNotSerializable(RocadeError):
    """A payload cannot be expressed in the serializer of the peer that it is for."""

    uri = "wamp.error.invalid_argument"


class PayloadTooLarge(PayloadNotSerializable):
    """A message is longer than the transport of the peer that it is for can carry."""

    uri = "wamp.error.payload_size_exceeded"


class TranslationTakesLong(PayloadNotSerializable):
    """A payload is in another serializer, and so long that translating it would hold the event loop."""


class HandshakeRefused(RocadeError):
    """A session is not opened; the peer gets ABORT with this URI and message."""

    def __init__(self, uri: str, message: str) -> None:
        """
        Args:
            uri: reason of the ABORT, such as "wamp.error.no_such_realm".
            message: plain words for ABORT.Details.message.
        """
        super().__init__(message)
        self.uri = uri


class AuthenticationFailed(HandshakeRefused):
    """A client is not who it claims to be. It learns no more than that, whatever the reason."""

    def __init__(self, reason: str) -> None:
        """
        Args:
            reason: for the log of the router; without secrets.
        """
        super().__init__("wamp.error.authentication_failed", "authentication failed")
        self.reason = reason


class ConfigurationError(RocadeError):
    """A configuration that cannot be used."""

    def __init__(self, path: str, message: str) -> None:
        """
        Args:
            path: where in the configuration, such as 'workers[0].realms[0].name'; empty for the whole of it.
            message: what is wrong there and what is accepted instead.
        """
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message
