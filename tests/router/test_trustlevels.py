"""Trust levels of calls and events (advanced/rpc_call_trustlevels.md, advanced/pubsub_publication_trustlevels.md)."""

from __future__ import annotations

import pytest
from tests.router.scene import Scene, invocation, sent_one

from rocade.router.permissions import Role
from rocade.wamp.messages import EventDetails, InvocationDetails, Match


@pytest.mark.parametrize("level", [0, 7])
def test_callees_are_told_the_trust_level_of_the_callers_role(scene: Scene, level: int) -> None:
    callee, caller = scene.join(), scene.join(role=Role("trusted", trustlevel=level))
    scene.register(callee, "com.proc")

    assert invocation(scene.call(caller, "com.proc"), callee).details == InvocationDetails(trustlevel=level)


@pytest.mark.parametrize("match", [Match.EXACT, Match.PREFIX])
def test_subscribers_are_told_the_trust_level_of_the_publishers_role(scene: Scene, match: Match) -> None:
    subscriber, publisher = scene.join(), scene.join(role=Role("trusted", trustlevel=3))
    scene.subscribe(subscriber, "com.topic", match=match)

    details = sent_one(scene.publish(publisher, "com.topic"), subscriber).details

    assert details == EventDetails(topic="com.topic" if match is Match.PREFIX else None, trustlevel=3)


def test_without_a_level_nothing_is_told(scene: Scene) -> None:
    receiver, sender = scene.join(), scene.join()
    scene.register(receiver, "com.proc")
    scene.subscribe(receiver, "com.topic")

    assert invocation(scene.call(sender, "com.proc"), receiver).details == InvocationDetails()
    assert sent_one(scene.publish(sender, "com.topic"), receiver).details == EventDetails()
