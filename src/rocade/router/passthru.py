"""Payload passthru mode: payloads that only the endpoints can read, and what the router still checks of them.

Specification: advanced/payload_passthru_mode.md.
"""

from __future__ import annotations

from msgspec import Raw

from rocade.errors import ApplicationError, ProtocolViolation
from rocade.router.session import Session
from rocade.wamp.messages import Call, Error, Publish, Yield

__all__ = ["check_publish", "has_keywords", "keywords_refused"]

_EMPTY_MAPS = frozenset((b"", b"{}", b"\x80", b"\xa0", b"\xbf\xff"))  # in JSON, MessagePack, CBOR


def has_keywords(message: Call | Yield | Error | Publish) -> bool:
    """Whether a payload has keyword arguments.

    "the message payload MUST be sent as one binary item within Arguments|list, while ArgumentsKw|dict MUST be absent
    or empty". What is in the list the router does not look at: it "shall not inspect and analyze the ppt_ options and
    payload", and wampy.js sends one item that is not binary where the serializer is "native".
    """
    kwargs = message.kwargs
    return bytes(kwargs) not in _EMPTY_MAPS if type(kwargs) is Raw and len(kwargs) <= 2 else bool(kwargs)


def keywords_refused() -> ApplicationError:
    """The answer to a request whose payload has keyword arguments."""
    return ApplicationError("wamp.error.invalid_argument", "keyword arguments in payload passthru mode")


def check_publish(publisher: Session, message: Publish) -> None:
    """Make sure that a PUBLISH may be in passthru mode.

    Whether its subscribers know the mode does not matter: it "cannot be recognized at the protocol level due to
    asynchronous message processing and must be covered at the Subscriber side".

    Raises:
        ProtocolViolation: the publisher did not announce it.
        ApplicationError: wamp.error.invalid_argument: there are keyword arguments.
    """
    if not publisher.publisher_passes_through:
        raise ProtocolViolation("PUBLISH in payload passthru mode, which was not announced")
    if has_keywords(message):
        raise keywords_refused()
