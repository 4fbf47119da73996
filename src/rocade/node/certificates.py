"""From the `tls` object of an endpoint to the files that it names."""

from __future__ import annotations

from rocade.errors import ConfigurationError
from rocade.net.tls import ServerTLS, TLSOptions
from rocade.node.transports import Endpoint

__all__ = ["server_tls"]


def server_tls(endpoint: Endpoint, path: str) -> ServerTLS | None:
    """What an endpoint's connections are encrypted with, loaded from its files; None without TLS.

    Args:
        endpoint: of a configuration.
        path: where in the configuration it stands.
    Raises:
        ConfigurationError: a file cannot be used.
    """
    tls = endpoint.tls
    if tls is None:
        return None
    options = TLSOptions(
        certificate=tls.certificate,
        key=tls.key,
        chain_certificates=tls.chain_certificates,
        ca_certificates=tls.ca_certificates or (),
        client_certificates=tls.asks_for_certificates,
        ciphers=tls.ciphers,
        dhparam=tls.dhparam,
        minimum_version=tls.minimum_version,
    )
    try:
        return ServerTLS(options)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}.tls.{error.path}", error.message) from None
