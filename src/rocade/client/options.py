"""Options of requests, as users write them: seconds are floats.

`PublishOptions`, `RegisterOptions` and `SubscribeOptions` are those of the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

from rocade.wamp.messages import CallOptions as WireCallOptions
from rocade.wamp.messages import CancelMode, PublishOptions, RegisterOptions, SubscribeOptions

__all__ = ["CallOptions", "PublishOptions", "RegisterOptions", "SubscribeOptions", "check_options"]

S = TypeVar("S", bound=Struct)


class CallOptions(Struct, frozen=True, kw_only=True):
    """Options of a call.

    Attributes:
        timeout: seconds until the call is given up, the same as the keyword of `Session.call`.
        disclose_me: tell the callee who calls.
        cancel_mode: what happens to the call at the callee when it is given up here: "killnowait" interrupts it,
            "kill" does, too, and lets it finish in its own way, "skip" lets it go on. The caller never waits.
        on_progress: a plain function that is called with each progressive result, on the event loop: for those who want
            to tell them from the last one, other than `Session.stream`.
        rkey, runmode: for sharded registrations, as the router has them.
        ppt_scheme, ppt_serializer, ppt_cipher, ppt_keyid: of a payload that only the endpoints can read.
    """

    timeout: float | None = None
    disclose_me: bool | None = None
    cancel_mode: CancelMode = CancelMode.KILLNOWAIT
    on_progress: Callable[..., None] | None = None
    rkey: str | int | None = None
    runmode: str | None = None
    ppt_scheme: str | None = None
    ppt_serializer: str | None = None
    ppt_cipher: str | None = None
    ppt_keyid: str | None = None

    def wire(self, timeout: float | None, **more: Any) -> WireCallOptions:
        """CALL.Options.

        Args:
            timeout: seconds, None for none.
            **more: further options of the message.
        """
        return WireCallOptions(
            timeout=milliseconds(timeout),
            disclose_me=self.disclose_me,
            rkey=self.rkey,
            runmode=self.runmode,
            ppt_scheme=self.ppt_scheme,
            ppt_serializer=self.ppt_serializer,
            ppt_cipher=self.ppt_cipher,
            ppt_keyid=self.ppt_keyid,
            **more,
        )


def check_options(kind: type[S], options: S) -> S:
    """The same options, if they are of the class that the request takes, and not a dict.

    Raises:
        TypeError: they are something else.
    """
    if not isinstance(options, kind):
        raise TypeError(f"options are rocade.{kind.__name__}(…), not {type(options).__name__}")
    return options


def milliseconds(seconds: float | None) -> int | None:
    """What the wire has for a time in seconds: at least 1, since 0 means none there."""
    return None if seconds is None else max(1, round(seconds * 1000))
