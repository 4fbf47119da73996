"""Channel binding: a login that is good on one TLS connection only, so nobody in between can pass it on (RFC 5056).

There is `tls-unique` (RFC 5929), which exists up to TLS 1.2. What TLS 1.3 has instead, `tls-exporter`, Python does not
offer. A binding that cannot be had is refused: going on without would take away what the client insists on.
"""

from __future__ import annotations

from typing import Any

from rocade.errors import HandshakeRefused
from rocade.net.link import LinkInfo
from rocade.net.tls import tls_unique
from rocade.wamp.uris import shown

__all__ = ["channel_data"]


def channel_data(info: LinkInfo, binding: Any) -> bytes:
    """What both ends of this connection know, and nobody else.

    Args:
        info: the connection.
        binding: the type of binding that the client wants.
    Raises:
        HandshakeRefused: there is no such thing, and the text says why.
    """
    if binding != "tls-unique":
        raise _refused(f"there is no channel binding {shown(str(binding))} here; there is 'tls-unique', on TLS 1.2")
    unique = tls_unique(info)
    if unique is not None:
        return unique
    if info.tls is not None and info.tls.session_reused:
        # "or over a TLS channel where session resumption is not permitted": a session that was resumed may have been
        # begun with somebody else (triple handshake, RFC 7627), and whether it was not, Python does not tell.
        raise _refused("the channel binding 'tls-unique' does not exist for a TLS session that was resumed")
    version = "without TLS" if info.tls is None else f"with {info.tls.version()}"
    raise _refused(f"the channel binding 'tls-unique' exists on TLS 1.2 only, and this is a connection {version}")


def _refused(text: str) -> HandshakeRefused:
    return HandshakeRefused("wamp.error.authentication_failed", text)
