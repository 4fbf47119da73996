"""A short story for each of some further clients, told to the same router."""

from __future__ import annotations

import pytest

from .router import OLD_CLIENTS, Router
from .test_autobahn_python import output_of


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize("scheme", ["ws", "rs"])
def test_xconn_works(router: Router, scheme: str, serializer: str) -> None:
    url = router.url if scheme == "ws" else f"rs://127.0.0.1:{router.port}"

    seen = output_of("xconn_story.py", url, serializer)

    assert seen == [
        [[12], {"of": {"units": "apples"}}],
        "com.example.error.no",
        "wamp.error.no_such_procedure",
        [["hello"], {"to": "all"}, "com.example.xconn.news"],
        "left",
    ]


def test_swampyer_works_in_a_realm_for_old_clients(router: Router) -> None:
    """It draws request ids at random, which WAMP forbids; the realm's option `request_ids` allows it."""
    seen = output_of("swampyer_story.py", router.url, OLD_CLIENTS)

    assert seen == [
        12,
        "('Call failed: not today', 'not today')",
        "no procedure 'com.example.swampyer.nobody' is registered",
        "hello",
    ]
