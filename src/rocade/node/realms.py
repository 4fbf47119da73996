"""Realms, roles and permissions of the configuration file."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from rocade.node.limits import RealmLimits, RoleLimits
from rocade.node.section import Create, CreateConfig, FilePath, Identifier, Section, fixed, ineffective, not_yet

__all__ = [
    "Allow",
    "AuthorizerCache",
    "AuthorizerFunction",
    "Disclose",
    "EventHistory",
    "Match",
    "MemoryStore",
    "Permission",
    "Realm",
    "RealmOptions",
    "Role",
    "SqliteStore",
    "Store",
]

Match = Literal["exact", "prefix", "wildcard"]
"""How a URI pattern is compared with a URI."""


class Allow(Section, kw_only=True, frozen=True):
    """Which actions a permission grants."""

    call: Annotated[bool, Meta(description="May call matching procedures.")] = False
    register: Annotated[bool, Meta(description="May register matching procedures.")] = False
    publish: Annotated[bool, Meta(description="May publish to matching topics.")] = False
    subscribe: Annotated[bool, Meta(description="May subscribe to matching topics.")] = False

    @property
    def everything(self) -> bool:
        """Whether all four actions are granted."""
        return self.call and self.register and self.publish and self.subscribe


class Disclose(Section, kw_only=True, frozen=True):
    """Whose identity a permission reveals, whether or not the session asks for it."""

    caller: Annotated[bool, Meta(description="Callees learn who calls.")] = False
    publisher: Annotated[bool, Meta(description="Subscribers learn who publishes.")] = False


class Permission(Section, kw_only=True, frozen=True):
    """What a role may do with the URIs that match a pattern. The most specific permission that matches decides."""

    refused: ClassVar = {"validate": "payload validation is not supported yet"}

    uri: Annotated[
        str,
        Meta(
            description="URI or pattern. Without `match`, a `*` at the end makes it a prefix (`*` alone: every URI), "
            "and a `*` as a component elsewhere makes it a wildcard pattern. `{authid}` and `{session}` as components "
            "stand for those of whoever asks."
        ),
    ]
    match: Annotated[Match | None, Meta(description="How `uri` matches. Default: exact, unless it has a `*`.")] = None
    allow: Annotated[Allow | None, Meta(description="Granted actions; what is left out is denied.")] = None
    disclose: Annotated[Disclose, Meta(description="Identities that are always disclosed.")] = Disclose()
    cache: Annotated[
        bool,
        Meta(description="Allows the decision to be cached. Static permissions are cached either way."),
    ] = False
    call: Annotated[bool | None, Meta(description="Version 1's form of `allow.call`.")] = None
    register: Annotated[bool | None, Meta(description="Version 1's form of `allow.register`.")] = None
    publish: Annotated[bool | None, Meta(description="Version 1's form of `allow.publish`.")] = None
    subscribe: Annotated[bool | None, Meta(description="Version 1's form of `allow.subscribe`.")] = None

    @property
    def pattern(self) -> tuple[str, Match]:
        """The URI pattern and how it matches, in WAMP's terms: without any `*`."""
        if self.match is not None or "*" not in self.uri:
            return self.uri, self.match or "exact"
        if self.uri.index("*") == len(self.uri) - 1:
            return self.uri[:-1], "prefix"
        return self.uri.replace("*", ""), "wildcard"

    @property
    def granted(self) -> Allow:
        """The granted actions, from whichever of the two forms the file uses."""
        if self.allow is not None:
            return self.allow
        return Allow(
            call=self.call or False,
            register=self.register or False,
            publish=self.publish or False,
            subscribe=self.subscribe or False,
        )

    @property
    def mixes_forms(self) -> bool:
        """Whether version 1's flat keys stand beside `allow`, so that nobody can tell which counts."""
        flat = (self.call, self.register, self.publish, self.subscribe)
        return self.allow is not None and any(value is not None for value in flat)

    @property
    def matches_every_uri(self) -> bool:
        """Whether no URI escapes the pattern."""
        return self.pattern == ("", "prefix")


class AuthorizerFunction(Section, kw_only=True, frozen=True, tag_field="type", tag="function"):
    """A Python function that decides: it is called with (session, uri, action, options). Rocade's own addition."""

    create: Create
    config: CreateConfig = {}


class AuthorizerCache(Section, kw_only=True, frozen=True):
    """How long answers of an authorizer hold that it allows to be cached. Rocade's own addition."""

    seconds: Annotated[float, Meta(ge=0, le=86400, description="How long an answer holds; 0: never.")] = 60.0
    entries: Annotated[int, Meta(ge=1, le=1_000_000, description="Answers that are kept for a role.")] = 10_000
    per: Annotated[
        Literal["session", "authid", "role"],
        Meta(description="For whom an answer holds: this session, all of its authid, or all of its role."),
    ] = "session"


class Role(Section, kw_only=True, frozen=True):
    """A named set of permissions in a realm. What neither a permission nor the authorizer grants is denied."""

    name: Annotated[str, Meta(min_length=1, description="What authentication refers to.")]
    id: Identifier | None = None
    permissions: Annotated[tuple[Permission, ...], Meta(description="Static permissions.")] = ()
    authorizer: Annotated[
        AuthorizerFunction | str | None,
        Meta(
            description="Who decides what no permission speaks of: a procedure that is called with (session, uri, "
            "action, options), or a function."
        ),
    ] = None
    authorizer_realm: Annotated[
        str | None,
        Meta(description="Where that procedure is registered. Default: in this realm. Rocade's own addition."),
    ] = field(name="authorizer-realm", default=None)
    authorizer_cache: Annotated[AuthorizerCache, Meta(description="How long its answers hold.")] = field(
        name="authorizer-cache", default=AuthorizerCache()
    )
    allow_by_default: Annotated[
        bool,
        Meta(description="Grants everything that no permission speaks of."),
    ] = field(name="allow-by-default", default=False)
    trustlevel: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="How far callees and subscribers may trust sessions of this role: told to them with every call "
            "and event, 0 for least. Rocade's own addition.",
        ),
    ] = None
    limits: Annotated[
        RoleLimits, Meta(description="What sessions of this role may have, where the realm says something else.")
    ] = RoleLimits()

    @property
    def authorizer_name(self) -> str | None:
        """The procedure or function that is asked; None if there is none."""
        return self.authorizer.create if isinstance(self.authorizer, AuthorizerFunction) else self.authorizer

    @property
    def may_do_everything(self) -> bool:
        """Whether every action is granted on every URI that no more specific permission speaks of."""
        sweeping = [permission.granted for permission in self.permissions if permission.matches_every_uri]
        return (self.allow_by_default and not sweeping) or any(allow.everything for allow in sweeping)


class RealmOptions(Section, kw_only=True, frozen=True):
    """How a realm routes."""

    event_dispatching_chunk_size: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        ineffective(
            None,
            "publishers are held back instead, so that nobody waits long",
            "How many subscribers get an event at a time.",
        ),
    ] = None
    uri_check: Annotated[
        Literal["loose", "strict"],
        Meta(description="Which URIs clients may use: WAMP's loose rules or its strict ones."),
    ] = "loose"
    request_ids: Annotated[
        Literal["sequential", "any"],
        Meta(
            description="Whether request ids must count up by one, as WAMP has it, or may be anything: for clients "
            "that draw random ones. Rocade's own addition."
        ),
    ] = "sequential"
    enable_meta_api: Annotated[
        bool,
        fixed(True, "a realm without its meta API is not supported yet", "Offers WAMP's meta procedures and events."),
    ] = True
    bridge_meta_api: Annotated[
        bool,
        fixed(False, "bridging the meta API is not supported yet", "Offers the meta API to other realms."),
    ] = False


HistoryLimit = Annotated[int, Meta(ge=1, le=100_000_000)]
"""Events that are kept."""


class EventHistory(Section, kw_only=True, frozen=True):
    """A topic or pattern whose events are kept."""

    uri: Annotated[str, Meta(description="The topic, or a pattern of topics.")]
    match: Annotated[Match, Meta(description="How `uri` matches.")] = "exact"
    limit: Annotated[
        HistoryLimit | None, Meta(description="Events that are kept; the oldest go first. Default: that of the store.")
    ] = None


class Store(Section, kw_only=True, frozen=True, tag_field="type"):
    """Where a realm keeps events for clients that ask for them later."""

    refused: ClassVar = {"call-queue": "call queues of the store are not supported yet"}

    event_history: Annotated[
        tuple[EventHistory, ...], Meta(description="Topics and patterns whose events are kept.")
    ] = field(name="event-history", default=())
    limit: Annotated[HistoryLimit, Meta(description="Events that are kept where an entry does not say.")] = 100


class MemoryStore(Store, kw_only=True, frozen=True, tag="memory"):
    """Events in memory: at most 100000, and 64 MiB, of an entry. A restart forgets them."""


class SqliteStore(Store, kw_only=True, frozen=True, tag="sqlite"):
    """Events in an SQLite file, which survive restarts. Rocade's own addition."""

    path: Annotated[
        FilePath,
        Meta(
            description="The file, created if there is none. Relative to the configuration file. "
            "It belongs to one realm of one node."
        ),
    ]


class Realm(Section, kw_only=True, frozen=True):
    """A routing namespace, fenced off from all others."""

    refused: ClassVar = {
        "stats": "session statistics are not supported yet",
        "inventory": "type inventories are not supported yet",
        "rlinks": "router-to-router links are not supported yet",
    }

    name: Annotated[str, Meta(description="What clients name when they join: a URI, not below `wamp.`.")]
    id: Identifier | None = None
    options: Annotated[RealmOptions, Meta(description="How the realm routes.")] = RealmOptions()
    roles: Annotated[tuple[Role, ...], Meta(description="Roles that sessions of this realm can have.")] = ()
    store: Annotated[
        MemoryStore | SqliteStore | None,
        Meta(
            description="Where events are kept. Left out: nowhere.",
            extra={"refused": not_yet("stores", "cfxdb", "lmdb", "zlmdb")},
        ),
    ] = None

    limits: Annotated[RealmLimits, Meta(description="What sessions may have, together and each of them.")] = (
        RealmLimits()
    )

    def role(self, name: str) -> Role | None:
        """The role of that name, if this realm has it."""
        return next((role for role in self.roles if role.name == name), None)
