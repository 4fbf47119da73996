"""Certificates for tests of TLS, from an authority that exists as long as they run."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Pair:
    """Files with a certificate and its private key."""

    certificate: Path
    key: Path

    def become(self, other: Pair) -> None:
        """Put another pair into these files, as a renewal does."""
        self.certificate.write_bytes(other.certificate.read_bytes())
        self.key.write_bytes(other.key.read_bytes())


class Authority:
    """Issues certificates."""

    def __init__(self, directory: Path, parent: Authority | None = None) -> None:
        """
        Args:
            directory: where files go.
            parent: the authority above this one, if it is no root.
        """
        self._directory = directory
        self._ca = trustme.CA() if parent is None else parent._ca.create_child_ca()
        self.certificate = directory / f"authority-{id(self)}.pem"
        self._ca.cert_pem.write_to_path(self.certificate)

    def issue(
        self,
        name: str,
        *identities: str,
        expires: datetime | None = None,
        key_type: trustme.KeyType = trustme.KeyType.ECDSA,
    ) -> Pair:
        """A new pair.

        Args:
            name: of the files, and the certificate's common name.
            *identities: host names, addresses and e-mail addresses; this machine by default.
            expires: when it does.
            key_type: kind of key.
        """
        issued = self._ca.issue_cert(*(identities or HOSTS), common_name=name, not_after=expires, key_type=key_type)
        pair = Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(pair.certificate)
        issued.private_key_pem.write_to_path(pair.key)
        return pair

    def client_context(self, pair: Pair | None = None) -> ssl.SSLContext:
        """For clients that trust this authority, and show a certificate if they have one."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        return context
