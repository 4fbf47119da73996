"""Which tokens let clients in, in the configuration file. All of it is Rocade's own addition."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from rocade.node.section import FilePath, Section, Text

__all__ = ["TokenSettings"]

Algorithm = Annotated[
    Literal[
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "ES512",
        "EdDSA",
    ],
    Meta(extra={"refused": {"none": "'none' is no signature: anybody could write such a token"}}),
]
"""How a token may be signed."""


class TokenSettings(Section, kw_only=True, frozen=True):
    """Which tokens are good. Where the keys are, exactly one of five says."""

    algorithms: Annotated[
        tuple[Algorithm, ...],
        Meta(min_length=1, description="How tokens may be signed: all of them with a secret (HS…), or none of them."),
    ]
    secret: Annotated[
        Annotated[str, Meta(min_length=1, extra={"secret": True})] | None,
        Meta(description="The secret of HS256 (at least 32 bytes), HS384 (48) or HS512 (64)."),
    ] = None
    key: Annotated[Text | None, Meta(description="A public key or a certificate, as PEM text.")] = None
    key_file: Annotated[FilePath | None, Meta(description="The same in a file.")] = field(name="key-file", default=None)
    jwks_file: Annotated[
        FilePath | None, Meta(description="Public keys in a file, as a JSON Web Key Set; read again as `jwks-url` is.")
    ] = field(name="jwks-file", default=None)
    jwks_url: Annotated[
        Text | None,
        Meta(
            description="Where such a set is published, with https. It is fetched when it is first needed, when a "
            "token names another key, and when it is older than `jwks-max-age`."
        ),
    ] = field(name="jwks-url", default=None)
    jwks_max_age: Annotated[
        int,
        Meta(ge=10, le=86400, description="Seconds after which a key that was taken out of a set is noticed at last."),
    ] = field(name="jwks-max-age", default=600)
    issuer: Annotated[Text | None, Meta(description="The claim `iss`. Left out: any.")] = None
    audience: Annotated[
        Text | Annotated[tuple[Text, ...], Meta(min_length=1)] | None,
        Meta(description="One of these must be in the claim `aud`. Left out: there must be no such claim."),
    ] = None
    leeway: Annotated[int, Meta(ge=0, le=300, description="Seconds by which clocks may differ.")] = 10
    required: Annotated[tuple[Text, ...], Meta(description="Claims that must be there, besides `exp`.")] = ()
    claims: Annotated[
        dict[str, Any],
        Meta(
            description="Claims that must have these values, or have them in their lists. This and all other names of "
            'claims may be JSON Pointers: "/realm_access/roles".'
        ),
    ] = {}
    authid_claim: Annotated[Text, Meta(description="The claim with the authid.")] = field(
        name="authid-claim", default="sub"
    )
    header: Annotated[
        bool,
        Meta(description="Whether a token in `Authorization: Bearer` of the request that opens a connection counts."),
    ] = False
    query: Annotated[
        Text | None,
        Meta(
            description="Name of a parameter in the URL of that request which counts. URLs end up in logs of proxies; "
            "browsers can send no header, but they can answer a challenge."
        ),
    ] = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} by {', '.join(self.algorithms)}>"

    @property
    def audiences(self) -> tuple[str, ...]:
        """The audiences, as they are checked."""
        if self.audience is None:
            return ()
        return (self.audience,) if isinstance(self.audience, str) else self.audience
