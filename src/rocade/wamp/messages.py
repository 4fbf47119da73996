"""Every message of WAMP v2, basic and advanced profile, as it stands on the wire.

A message is an array whose first element is its code; `msgspec` decodes one straight into the matching
struct and refuses wrong types, ids out of range and arrays of the wrong length, naming the place. Options
and details are structs too; keys that they do not know are skipped, as the specification asks.

`args` and `kwargs` stay raw: a router forwards them without looking inside (see `rocade.wamp.codec`).
An absent payload is `NO_PAYLOAD`, an empty `msgspec.Raw`. In messages that this process composes itself they
may also be plain lists and dicts.

Specification: basic/messages.md and the chapters of the advanced profile.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Raw, Struct, field

from rocade.wamp.ids import MAX_ID

NO_PAYLOAD = Raw()
"""An absent `args` or `kwargs`."""

Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
"""An id of any scope: 1 to 2^53 (basic/building_blocks.md, IDs)."""
IdOrZero = Annotated[int, Meta(ge=0, le=MAX_ID)]
"""Request id of UNSUBSCRIBED and UNREGISTERED, which is 0 when the router revokes."""
Count = Annotated[int, Meta(ge=0, le=MAX_ID)]
Milliseconds = Annotated[int, Meta(ge=0, le=MAX_ID)]

if TYPE_CHECKING:
    Arguments = Raw | list[Any] | tuple[Any, ...]
    KeywordArguments = Raw | dict[str, Any]
else:
    # What is decoded is always raw; msgspec has no union of Raw with another type.
    Arguments = Raw
    KeywordArguments = Raw


class Match(StrEnum):
    """How the URI of a subscription or registration is compared (pattern-based subscription/registration)."""

    __hash__ = str.__hash__  # that of Enum is not in C, and decisions are looked up by it for every request

    EXACT = "exact"
    PREFIX = "prefix"
    WILDCARD = "wildcard"


class Invoke(StrEnum):
    """Which callee of a shared registration gets a call (shared registration)."""

    SINGLE = "single"
    ROUNDROBIN = "roundrobin"
    RANDOM = "random"
    FIRST = "first"
    LAST = "last"


class CancelMode(StrEnum):
    """What happens to an invocation when its call is canceled (call canceling)."""

    SKIP = "skip"
    KILL = "kill"
    KILLNOWAIT = "killnowait"


class Message(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A WAMP message. Subclasses say which; their fields stand in the order of the wire."""


class Details(Struct, omit_defaults=True, gc=False):
    """Options or details of a message: a dictionary whose unknown keys are skipped."""


class PassthruDetails(Details):
    """What describes a payload that only the endpoints can read (advanced/payload_passthru_mode.md)."""

    ppt_scheme: str | None = None
    ppt_serializer: str | None = None
    ppt_cipher: str | None = None
    ppt_keyid: str | None = None


NO_DETAILS = Details()
"""Details with nothing in them."""

# --- Session ---------------------------------------------------------------------------------------


class Role(Details):
    """One role that a peer announces, with the advanced features it has there."""

    features: dict[str, Any] | None = None


class ClientRoles(Details):
    """HELLO.Details.roles."""

    publisher: Role | None = None
    subscriber: Role | None = None
    caller: Role | None = None
    callee: Role | None = None


class HelloDetails(Details):
    """HELLO.Details (basic/sessions.md, advanced/authentication.md)."""

    roles: ClientRoles
    agent: str | None = None
    authmethods: list[str] | None = None
    authid: str | None = None
    authrole: str | None = None
    authextra: dict[str, Any] | None = None
    # An extension, docs/resume.md: the session may outlive its connection; which one to resume, and how far it came.
    resumable: bool | None = None
    resume_session: Id | None = field(name="resume-session", default=None)
    resume_token: str | None = field(name="resume-token", default=None)
    received: Count | None = None


class Hello(Message, tag=1):
    """[HELLO, Realm|uri, Details|dict]"""

    realm: str
    details: HelloDetails


class RouterRole(Details):
    """One role that the router announces.

    `reflection` is no feature, but stands beside them (advanced/interface_reflection.md, a sketch).
    """

    features: dict[str, Any] | None = None
    reflection: bool | None = None


class RouterRoles(Details):
    """WELCOME.Details.roles."""

    broker: RouterRole | None = None
    dealer: RouterRole | None = None


class WelcomeDetails(Details):
    """WELCOME.Details (basic/sessions.md, advanced/authentication.md)."""

    roles: RouterRoles
    realm: str | None = None
    agent: str | None = None
    authid: str | None = None
    authrole: str | None = None
    authmethod: str | None = None
    authprovider: str | None = None
    authextra: dict[str, Any] | None = None
    resumed: bool | None = None
    resumable: bool | None = None
    resume_token: str | None = field(name="resume-token", default=None)
    resume_window: float | None = field(name="resume-window", default=None)
    received: Count | None = None


class Welcome(Message, tag=2):
    """[WELCOME, Session|id, Details|dict]"""

    session: Id
    details: WelcomeDetails


class CloseDetails(Details):
    """Details of ABORT and GOODBYE."""

    message: str | None = None


class Abort(Message, tag=3):
    """[ABORT, Details|dict, Reason|uri, Arguments|list, ArgumentsKw|dict]"""

    details: CloseDetails
    reason: str
    args: Arguments = NO_PAYLOAD
    kwargs: KeywordArguments = NO_PAYLOAD


class Challenge(Message, tag=4):
    """[CHALLENGE, AuthMethod|string, Extra|dict]"""

    method: str
    extra: dict[str, Any]


class Authenticate(Message, tag=5):
    """[AUTHENTICATE, Signature|string, Extra|dict]"""

    signature: str
    extra: dict[str, Any]


class Goodbye(Message, tag=6):
    """[GOODBYE, Details|dict, Reason|uri]"""

    details: CloseDetails
    reason: str


class Error(Message, tag=8):
    """[ERROR, REQUEST.Type|int, REQUEST.Request|id, Details|dict, Error|uri, Arguments|list, ArgumentsKw|dict]"""

    request_type: int
    request: Id
    details: PassthruDetails
    error: str
    args: Arguments = NO_PAYLOAD
    kwargs: KeywordArguments = NO_PAYLOAD


class Received(Message, tag=260):
    """[RECEIVED, Count|int]: an extension, how many messages of a resumable session have arrived (docs/resume.md)."""

    count: Count


# --- Publish and subscribe -------------------------------------------------------------------------


class PublishOptions(PassthruDetails):
    """PUBLISH.Options."""

    acknowledge: bool | None = None
    exclude_me: bool | None = None
    disclose_me: bool | None = None
    retain: bool | None = None
    exclude: list[Id] | None = None
    exclude_authid: list[str] | None = None
    exclude_authrole: list[str] | None = None
    eligible: list[Id] | None = None
    eligible_authid: list[str] | None = None
    eligible_authrole: list[str] | None = None
    rkey: str | int | None = None


class Publish(Message, tag=16):
    """[PUBLISH, Request|id, Options|dict, Topic|uri, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    options: PublishOptions
    topic: str
    args: Arguments = NO_PAYLOAD
    kwargs: KeywordArguments = NO_PAYLOAD


class Published(Message, tag=17):
    """[PUBLISHED, PUBLISH.Request|id, Publication|id]"""

    request: Id
    publication: Id


class SubscribeOptions(Details):
    """SUBSCRIBE.Options."""

    match: Match | None = None
    get_retained: bool | None = None
    nkey: str | int | None = None


class Subscribe(Message, tag=32):
    """[SUBSCRIBE, Request|id, Options|dict, Topic|uri]"""

    request: Id
    options: SubscribeOptions
    topic: str


class Subscribed(Message, tag=33):
    """[SUBSCRIBED, SUBSCRIBE.Request|id, Subscription|id]"""

    request: Id
    subscription: Id


class Unsubscribe(Message, tag=34):
    """[UNSUBSCRIBE, Request|id, SUBSCRIBED.Subscription|id]"""

    request: Id
    subscription: Id


class UnsubscribedDetails(Details):
    """Details of an UNSUBSCRIBED that the router sends by itself (subscription revocation)."""

    subscription: int | None = None
    reason: str | None = None


class Unsubscribed(Message, tag=35):
    """[UNSUBSCRIBED, UNSUBSCRIBE.Request|id] or, revoked, [UNSUBSCRIBED, 0, Details|dict]"""

    request: IdOrZero
    details: UnsubscribedDetails | None = None


class EventDetails(PassthruDetails):
    """EVENT.Details."""

    topic: str | None = None
    publisher: int | None = None
    publisher_authid: str | None = None
    publisher_authrole: str | None = None
    trustlevel: int | None = None
    retained: bool | None = None


class Event(Message, tag=36):
    """[EVENT, SUBSCRIBED.Subscription|id, PUBLISHED.Publication|id, Details|dict, PUBLISH.Arguments|list, …]"""

    subscription: Id
    publication: Id
    details: EventDetails
    args: Arguments = NO_PAYLOAD
    kwargs: KeywordArguments = NO_PAYLOAD


class EventReceived(Message, tag=337):
    """[EVENT_RECEIVED, EVENT.Publication|id]: an extension of autobahn, read and ignored."""

    publication: Id


# --- Remote procedure calls ------------------------------------------------------------------------


class CallOptions(PassthruDetails):
    """CALL.Options."""

    timeout: Milliseconds | None = None
    receive_progress: bool | None = None
    progress: bool | None = None
    disclose_me: bool | None = None
    runmode: str | None = None
    rkey: str | int | None = None


class Call(Message, tag=48):
    """[CALL, Request|id, Options|dict, Procedure|uri, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    options: CallOptions
    procedure: str
    args: Arguments = NO_PAYLOAD
    kwargs: KeywordArguments = NO_PAYLOAD


class CancelOptions(Details):
    """CANCEL.Options and INTERRUPT.Options."""

    mode: CancelMode | None = None
    reason: str | None = None


class Cancel(Message, tag=49):
    """[CANCEL, CALL.Request|id, Options|dict]"""

    request: Id
    options: CancelOptions


class ResultDetails(PassthruDetails):
    """RESULT.Details."""

    progress: bool | None = None
    callee: int | None = None
    callee_authid: str | None = None
    callee_authrole: str | None = None


class Result(Message, tag=50):
    """[RESULT, CALL.Request|id, Details|dict, YIELD.Arguments|list, YIELD.ArgumentsKw|dict]"""

    request: Id
    details: ResultDetails
    args: Arguments = NO_PAYLOAD
    kwargs: KeywordArguments = NO_PAYLOAD


class RegisterOptions(Details):
    """REGISTER.Options."""

    match: Match | None = None
    invoke: Invoke | None = None
    disclose_caller: bool | None = None
    concurrency: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    forward_timeout: bool | None = None
    force_reregister: bool | None = None


class Register(Message, tag=64):
    """[REGISTER, Request|id, Options|dict, Procedure|uri]"""

    request: Id
    options: RegisterOptions
    procedure: str


class Registered(Message, tag=65):
    """[REGISTERED, REGISTER.Request|id, Registration|id]"""

    request: Id
    registration: Id


class Unregister(Message, tag=66):
    """[UNREGISTER, Request|id, REGISTERED.Registration|id]"""

    request: Id
    registration: Id


class UnregisteredDetails(Details):
    """Details of an UNREGISTERED that the router sends by itself (registration revocation)."""

    registration: int | None = None
    reason: str | None = None


class Unregistered(Message, tag=67):
    """[UNREGISTERED, UNREGISTER.Request|id] or, revoked, [UNREGISTERED, 0, Details|dict]"""

    request: IdOrZero
    details: UnregisteredDetails | None = None


class InvocationDetails(PassthruDetails):
    """INVOCATION.Details."""

    procedure: str | None = None
    receive_progress: bool | None = None
    progress: bool | None = None
    timeout: int | None = None
    caller: int | None = None
    caller_authid: str | None = None
    caller_authrole: str | None = None
    trustlevel: int | None = None


class Invocation(Message, tag=68):
    """[INVOCATION, Request|id, REGISTERED.Registration|id, Details|dict, CALL.Arguments|list, CALL.ArgumentsKw|dict]"""

    request: Id
    registration: Id
    details: InvocationDetails
    args: Arguments = NO_PAYLOAD
    kwargs: KeywordArguments = NO_PAYLOAD


class Interrupt(Message, tag=69):
    """[INTERRUPT, INVOCATION.Request|id, Options|dict]"""

    request: Id
    options: CancelOptions


class YieldOptions(PassthruDetails):
    """YIELD.Options."""

    progress: bool | None = None


class Yield(Message, tag=70):
    """[YIELD, INVOCATION.Request|id, Options|dict, Arguments|list, ArgumentsKw|dict]"""

    request: Id
    options: YieldOptions
    args: Arguments = NO_PAYLOAD
    kwargs: KeywordArguments = NO_PAYLOAD
