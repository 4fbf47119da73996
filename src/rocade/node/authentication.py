"""How clients of a transport may log in, in the configuration file."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from rocade.node.section import Create, CreateConfig, Section, Text, not_yet
from rocade.node.tokens import TokenSettings

__all__ = [
    "AnonymousAuth",
    "Auth",
    "CookieAuth",
    "Credentials",
    "CryptosignAuth",
    "CryptosignPrincipal",
    "DynamicAuth",
    "DynamicJwtAuth",
    "FunctionAuth",
    "FunctionJwtAuth",
    "JwtAuth",
    "ScramAuth",
    "ScramPrincipal",
    "TicketAuth",
    "TicketPrincipal",
    "TlsAuth",
    "TlsPrincipal",
    "WampCraAuth",
    "WampCraUser",
]

Secret = Annotated[str, Meta(min_length=1, extra={"secret": True})]
"""Text that nothing may repeat."""

RoleName = Annotated[Text | None, Meta(description="The role of this client. Left out: `default-role`.")]

DefaultRole = Annotated[Text | None, Meta(description="The role of those for whom none is said.")]


Procedure = Annotated[str, Meta(description="URI of the procedure.")]

ProcedureRealm = Annotated[
    str | None,
    Meta(description="The realm in which it is registered. Left out: the one that the client asks for."),
]

ProcedureRole = Annotated[
    str | None,
    Meta(description="Without effect: the router calls in its own name, which no permission holds up."),
]


class DynamicAuth(Section, kw_only=True, frozen=True, tag_field="type", tag="dynamic"):
    """A procedure knows the clients: it is called with [realm, authid, details] and answers who that is."""

    authenticator: Procedure
    authenticator_realm: ProcedureRealm = field(name="authenticator-realm", default=None)
    authenticator_role: ProcedureRole = field(name="authenticator-role", default=None)
    default_role: DefaultRole = field(name="default-role", default=None)


class FunctionAuth(Section, kw_only=True, frozen=True, tag_field="type", tag="function"):
    """A Python function knows the clients: it is called with (realm, authid, details) and answers who that is."""

    refused: ClassVar = {"expose_controller": "handing the controller to a function is not supported"}

    create: Create
    config: CreateConfig = {}
    default_role: DefaultRole = field(name="default-role", default=None)


class AnonymousAuth(Section, kw_only=True, frozen=True, tag_field="type", tag="static"):
    """Clients that join without saying who they are."""

    refused: ClassVar = {
        "realm": "assigning a realm to anonymous clients is not supported yet",
        "authid": "assigning an authid to anonymous clients is not supported yet",
    }

    role: Annotated[str, Meta(min_length=1, description="The role that these clients get.")] = "anonymous"


class Credentials(Section, kw_only=True, frozen=True):
    """What is known of one client: shown without its secrets wherever it is shown."""

    role: RoleName = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in role {self.role!r}>"


class TicketPrincipal(Credentials, kw_only=True, frozen=True):
    """A client with a ticket. Either of the two must be there."""

    ticket: Annotated[Secret | None, Meta(description="The ticket itself.")] = None
    ticket_hash: Annotated[
        Secret | None,
        Meta(description="A hash of the ticket, from `rocade hash ticket`. Rocade's own addition."),
    ] = field(name="ticket-hash", default=None)


class TicketAuth(Section, kw_only=True, frozen=True, tag_field="type", tag="static"):
    """Clients that show a secret."""

    principals: Annotated[dict[str, TicketPrincipal], Meta(description="authid -> client.")]
    default_role: DefaultRole = field(name="default-role", default=None)


class WampCraUser(Credentials, kw_only=True, frozen=True):
    """A client that signs challenges. Either `secret` or `derived-key` must be there."""

    secret: Annotated[
        Secret | None, Meta(description="The secret; with a `salt`, the password that the key is derived from.")
    ] = None
    derived_key: Annotated[
        Secret | None,
        Meta(
            description="The key itself, derived with the `salt` by `rocade hash wampcra`, so that the password need "
            "not stand here. Who has the key can log in all the same. Rocade's own addition."
        ),
    ] = field(name="derived-key", default=None)
    salt: Annotated[Text | None, Meta(description="Clients derive the key from their password and this.")] = None
    iterations: Annotated[
        Annotated[int, Meta(ge=1, le=10_000_000)] | None,
        Meta(description="Rounds of deriving. Left out: 1000."),
    ] = None
    keylen: Annotated[
        Annotated[int, Meta(ge=16, le=64)] | None, Meta(description="Bytes of the key. Left out: 32.")
    ] = None


class WampCraAuth(Section, kw_only=True, frozen=True, tag_field="type", tag="static"):
    """Clients that sign a challenge with a secret."""

    users: Annotated[dict[str, WampCraUser] | None, Meta(description="authid -> client.")] = None
    principals: Annotated[
        dict[str, WampCraUser] | None, Meta(description="Another name of `users`, as with the other methods.")
    ] = None
    default_role: DefaultRole = field(name="default-role", default=None)


class CryptosignPrincipal(Credentials, kw_only=True, frozen=True):
    """A client with private keys."""

    authorized_keys: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="Its public keys, 64 hexadecimal digits each, as `rocade keygen` shows them."),
    ]
    realm: Annotated[
        Text | None,
        Meta(description="The only realm that this client may join. Left out: any. Crossbar joins it to this one."),
    ] = None


class CryptosignAuth(Section, kw_only=True, frozen=True, tag_field="type", tag="static"):
    """Clients that sign a challenge with a private key."""

    refused: ClassVar = {"trustroots": "certificates of trust roots are not supported"}

    principals: Annotated[dict[str, CryptosignPrincipal], Meta(description="authid -> client.")]
    default_role: DefaultRole = field(name="default-role", default=None)


class ScramPrincipal(Credentials, kw_only=True, frozen=True):
    """A client with a password, of which `rocade hash scram` shows as much as checking it takes, but not using it."""

    kdf: Annotated[
        Literal["pbkdf2", "argon2id-13", "argon2id13"],
        Meta(
            description="How clients make a key of the password. `argon2id-13` is Argon2id as Crossbar's clients do "
            "it, `argon2id13` as the specification has it."
        ),
    ]
    iterations: Annotated[int, Meta(ge=1, le=10_000_000, description="Rounds of making the key.")]
    memory: Annotated[
        Annotated[int, Meta(ge=0, le=4 * 1024 * 1024)] | None,
        Meta(description="KiB that Argon2 takes. Without effect for PBKDF2."),
    ] = None
    salt: Annotated[str, Meta(description="In hexadecimal.")]
    stored_key: Annotated[Secret, Meta(description="In hexadecimal.")] = field(name="stored-key")
    server_key: Annotated[Secret, Meta(description="In hexadecimal.")] = field(name="server-key")


class ScramAuth(Section, kw_only=True, frozen=True, tag_field="type", tag="static"):
    """Clients that prove that they have a password, and to whom the router proves that it knows it."""

    principals: Annotated[dict[str, ScramPrincipal], Meta(description="authid -> client.")]
    default_role: DefaultRole = field(name="default-role", default=None)


class TlsPrincipal(Credentials, kw_only=True, frozen=True):
    """A client with a certificate. At least one of the two must be there."""

    refused: ClassVar = {
        "certificate-sha1": "SHA-1 is no proof of anything any more; use 'certificate-sha256'",
    }

    certificate_sha256: Annotated[
        Text | None,
        Meta(
            description="Fingerprint of the certificate: 64 hexadecimal digits, with colons or without. Rocade's own "
            "addition."
        ),
    ] = field(name="certificate-sha256", default=None)
    subject: Annotated[
        dict[str, Text] | None,
        Meta(
            description='What the certificate says of its owner: `{"commonName": "device1"}`. All must be there, once '
            "each. Rocade's own addition."
        ),
    ] = None


class TlsAuth(Section, kw_only=True, frozen=True, tag_field="type", tag="static"):
    """Clients that have shown a certificate which leads to one of the endpoint's `ca_certificates`."""

    principals: Annotated[dict[str, TlsPrincipal], Meta(description="authid -> client.")]
    default_role: DefaultRole = field(name="default-role", default=None)


class JwtAuth(TokenSettings, kw_only=True, frozen=True, tag_field="type", tag="static"):
    """Clients that have a token, of which the claims say who they are."""

    role_claim: Annotated[
        Text | None, Meta(description="The claim with the role, or with a list of them. Left out: `default-role`.")
    ] = field(name="role-claim", default=None)
    roles: Annotated[
        dict[str, Text] | None,
        Meta(
            description="Value of that claim -> role; of several values the first one here counts. Left out: the value "
            "is the name of the role."
        ),
    ] = None
    default_role: DefaultRole = field(name="default-role", default=None)
    realm_claim: Annotated[
        Text | None,
        Meta(description="The claim with the realm, or the realms, that the client may join. Left out: any."),
    ] = field(name="realm-claim", default=None)
    extra_claims: Annotated[
        tuple[Text, ...], Meta(description="Claims that clients find in `authextra` of WELCOME.")
    ] = field(name="extra-claims", default=())


class DynamicJwtAuth(TokenSettings, kw_only=True, frozen=True, tag_field="type", tag="dynamic"):
    """Clients that have a token; a procedure is told its claims (the detail `claims`) and answers who that is."""

    authenticator: Procedure
    authenticator_realm: ProcedureRealm = field(name="authenticator-realm", default=None)
    authenticator_role: ProcedureRole = field(name="authenticator-role", default=None)
    default_role: DefaultRole = field(name="default-role", default=None)


class FunctionJwtAuth(TokenSettings, kw_only=True, frozen=True, tag_field="type", tag="function"):
    """Clients that have a token; a Python function is told its claims (the detail `claims`) and answers who that is."""

    refused: ClassVar = FunctionAuth.refused

    create: Create
    config: CreateConfig = {}
    default_role: DefaultRole = field(name="default-role", default=None)


class CookieAuth(Section, kw_only=True, frozen=True):
    """Clients that logged in before, by another method of this `auth`."""

    type: Annotated[
        Literal["static", "dynamic", "function"],
        Meta(
            description="Whether somebody is asked if the login is still good: a procedure or a Python function, which "
            "is told of it in the detail `cookie`."
        ),
    ] = "static"
    authenticator: Annotated[str | None, Meta(description="URI of the procedure.")] = None
    authenticator_realm: ProcedureRealm = field(name="authenticator-realm", default=None)
    create: Annotated[Text | None, Meta(description="What makes the function, as with other methods.")] = None
    config: CreateConfig = {}

    @property
    def asked(self) -> DynamicAuth | FunctionAuth | None:
        """Who is asked. Settings that are missing there are empty, which a checked configuration has not."""
        if self.type == "dynamic":
            return DynamicAuth(authenticator=self.authenticator or "", authenticator_realm=self.authenticator_realm)
        return FunctionAuth(create=self.create or "", config=self.config) if self.type == "function" else None


class Auth(Section, kw_only=True, frozen=True):
    """How clients of a transport may authenticate: method -> its settings."""

    refused: ClassVar = not_yet(
        "logins",
        "anonymous-proxy",
        "cryptosign-proxy",
    )

    anonymous: Annotated[
        AnonymousAuth | DynamicAuth | FunctionAuth | None, Meta(description="Clients without credentials.")
    ] = None
    ticket: Annotated[TicketAuth | DynamicAuth | FunctionAuth | None, Meta(description="A secret that is shown.")] = (
        None
    )
    wampcra: Annotated[
        WampCraAuth | DynamicAuth | FunctionAuth | None,
        Meta(description="A challenge that is signed with a secret that both know."),
    ] = None
    cryptosign: Annotated[
        CryptosignAuth | DynamicAuth | FunctionAuth | None,
        Meta(description="A challenge that is signed with a private key."),
    ] = None
    scram: Annotated[
        ScramAuth | DynamicAuth | FunctionAuth | None,
        Meta(description="A password that neither side shows the other. Clients may call it `wamp-scram`."),
    ] = None
    tls: Annotated[
        TlsAuth | DynamicAuth | FunctionAuth | None, Meta(description="The certificate of a TLS connection.")
    ] = None

    jwt: Annotated[
        JwtAuth | DynamicJwtAuth | FunctionJwtAuth | None,
        Meta(description="A token that somebody else has signed. Rocade's own addition."),
    ] = None

    cookie: Annotated[
        CookieAuth | None,
        Meta(description="A cookie from a login before. What it is like, `cookie` of the transport or path says."),
    ] = None

    @property
    def methods(self) -> dict[str, Any]:
        """Method -> its settings, of those that are there."""
        found = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: settings for name, settings in found.items() if settings is not None}
