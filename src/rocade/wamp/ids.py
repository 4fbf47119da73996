"""Ids of the three scopes (basic/building_blocks.md, IDs): global, router and session.

Global ids are random over [1, 2^53]; whoever runs a router passes the source of randomness in. Router ids
(subscriptions, registrations) count up and stay below 2^32, since wampy.js sends larger ones back as floats
over CBOR. Session ids count up from 1 in each direction and wrap after 2^53.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NewType

MAX_ID = 2**53
"""The largest id: every integer up to it is exact in an IEEE-754 double."""

MAX_ROUTER_ID = 2**32 - 1
"""The largest subscription or registration id that is given out."""

SessionId = NewType("SessionId", int)
PublicationId = NewType("PublicationId", int)
SubscriptionId = NewType("SubscriptionId", int)
RegistrationId = NewType("RegistrationId", int)
RequestId = NewType("RequestId", int)


def next_request_id(request: int) -> int:
    """The session-scope id that follows `request`: one more, 1 after 2^53."""
    return request + 1 if request < MAX_ID else 1


class RouterIds:
    """Gives out router-scope ids: 1, 2, 3 … , wrapping below 2^32 and skipping those in use."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def next(self, taken: Container[int]) -> int:
        """An id that is not in `taken`."""
        while True:
            self._last = self._last + 1 if self._last < MAX_ROUTER_ID else 1
            if self._last not in taken:
                return self._last
