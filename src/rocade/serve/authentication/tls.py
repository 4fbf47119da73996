"""Certificates of TLS clients: the connection itself says who they are (advanced/authentication.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rocade.errors import AuthenticationFailed
from rocade.net.tls import PeerCertificate, peer_certificate
from rocade.serve.authentication.attempt import Attempt, Identity
from rocade.serve.authentication.principals import Principal, let_in

__all__ = ["CertificateProof", "TlsCertificate"]

METHOD = "tls"


@dataclass(frozen=True, slots=True)
class CertificateProof:
    """Which certificates are somebody's. Each leads to an authority that the listener trusts."""

    fingerprints: frozenset[str] = frozenset()
    """SHA-256, 64 hexadecimal digits in lower case."""
    subject: Mapping[str, str] | None = None
    """Attributes that the subject must have, each once; None if only fingerprints count."""

    def fits(self, certificate: PeerCertificate) -> bool:
        """Whether this certificate is one of them."""
        if certificate.sha256 in self.fingerprints:
            return True
        if not self.subject:
            return False
        return all(
            [found for attribute, found in certificate.subject if attribute == wanted] == [value]
            for wanted, value in self.subject.items()
        )


class TlsCertificate:
    """Knows clients by their certificates."""

    def __init__(self, principals: Sequence[Principal[CertificateProof]]) -> None:
        """
        Args:
            principals: whom it knows.
        """
        self._principals = principals

    def begin(self, attempt: Attempt) -> Identity | None:
        """Who the client is; None if it has shown no certificate."""
        certificate = peer_certificate(attempt.info)
        if certificate is None:
            return None
        claimed = attempt.hello.details.authid
        found = [
            principal
            for principal in self._principals
            if claimed in (None, principal.authid) and principal.proof.fits(certificate)
        ]
        if len(found) != 1:
            how_many = "several are" if found else "nobody is"
            raise AuthenticationFailed(f"{METHOD}: {how_many} known by the certificate {certificate.sha256}")
        return let_in(found[0], METHOD, attempt, is_proved=True)
