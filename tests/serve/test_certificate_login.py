"""Clients that are known by the certificate of their TLS connection."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.serve.scene import Client, open_gateway, settle

from rocade.net.link import LinkInfo
from rocade.serve.authentication import Authenticator
from rocade.serve.authentication.asked import AskedAtOnce, Asking
from rocade.serve.authentication.principals import Principal
from rocade.serve.authentication.tls import CertificateProof, TlsCertificate
from rocade.wamp.messages import Abort, Welcome


class Connection:
    """What `ssl` tells of a connection."""

    def __init__(self, certificate: bytes | None = b"certificate", **subject: str) -> None:
        self.certificate = certificate
        self.subject = subject or {"commonName": "joe"}

    def getpeercert(self, binary_form: bool = False) -> Any:
        if binary_form:
            return self.certificate
        return {"subject": tuple(((name, value),) for name, value in self.subject.items())}


def principal(name: str, *fingerprints: str, realm: str | None = None, **subject: str) -> Principal[CertificateProof]:
    proof = CertificateProof(frozenset(fingerprints), subject or None)
    return Principal(authid=name, role="user", proof=proof, realm=realm)


def fingerprint(data: bytes = b"certificate") -> str:
    return hashlib.sha256(data).hexdigest()


async def outcome(tls: Connection | None, *principals: Principal[CertificateProof], authid: str | None = None) -> Any:
    return await said({"tls": TlsCertificate(principals)}, tls, authid)


async def said(authenticators: dict[str, Authenticator], tls: Connection | None, authid: str | None = None) -> Any:
    client = Client(open_gateway(), authenticators=authenticators)
    client.link.info = LinkInfo("fake", "fake:1", secure=tls is not None, tls=tls)
    client.hello(authmethods=["tls"], authid=authid)
    await settle()
    return client.take_one()


@pytest.mark.parametrize("authid", [None, "joe"])
async def test_a_fingerprint_says_who_it_is(authid: str | None) -> None:
    ann = principal("ann", fingerprint(b"other"))

    welcome = await outcome(Connection(), ann, principal("joe", fingerprint()), authid=authid)

    details = welcome.details
    assert (details.authid, details.authrole, details.authmethod) == ("joe", "user", "tls")


async def test_a_subject_says_who_it_is() -> None:
    tls = Connection(commonName="joe", organizationName="Example")
    joe = principal("joe", commonName="joe", organizationName="Example")

    assert (await outcome(tls, joe, principal("ann", commonName="ann"))).details.authid == "joe"


@pytest.mark.parametrize(
    "who",
    [
        principal("joe", fingerprint(b"other")),
        principal("joe", commonName="ann"),
        principal("joe", commonName="joe", organizationName="Example"),
        principal("joe", fingerprint(), realm="realm2"),
    ],
)
async def test_other_certificates_are_refused(who: Principal[CertificateProof]) -> None:
    message = await outcome(Connection(), who)

    assert type(message) is Abort
    assert message.reason == "wamp.error.authentication_failed"


async def test_a_certificate_lets_nobody_in_as_somebody_else() -> None:
    principals = principal("joe", fingerprint()), principal("ann", fingerprint(b"other"))

    assert type(await outcome(Connection(), *principals, authid="ann")) is Abort


async def test_a_certificate_of_two_needs_a_name() -> None:
    principals = principal("joe", fingerprint()), principal("ann", fingerprint())

    assert type(await outcome(Connection(), *principals)) is Abort
    assert type(await outcome(Connection(), *principals, authid="ann")) is Welcome


@pytest.mark.parametrize("tls", [None, Connection(None)])
async def test_without_a_certificate_another_method_is_looked_for(tls: Connection | None) -> None:
    assert (await outcome(tls, principal("joe", fingerprint()))).reason == "wamp.error.no_matching_auth_method"


async def test_an_authenticator_is_told_of_the_certificate() -> None:
    async def ask(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        certificate = details["transport"]["peer_cert"]
        assert certificate == {"sha256": fingerprint(), "subject": [["commonName", "joe"]]}
        return {"role": "user", "authid": "Joe"}

    authenticator = AskedAtOnce(Asking(ask, "dynamic", "a.b"), "tls", needs_certificate=True)

    assert (await said({"tls": authenticator}, Connection())).details.authid == "Joe"
    assert (await said({"tls": authenticator}, None)).reason == "wamp.error.no_matching_auth_method"
