"""Whatever a client sends, before a session or within one, the router answers or hangs up, and fails nobody."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzzing import Faults, fuzzing
from tests.wamp.strategies import messages

from rocade.net.memory import MemoryClient
from rocade.router.permissions import Permission, Role
from rocade.serve.authentication import Anonymous
from rocade.serve.gateway import Gateway
from rocade.wamp.codec import SERIALIZERS, Serializer
from rocade.wamp.messages import Call, CallOptions, ClientRoles, Error, Hello, HelloDetails, Match, Message, Welcome
from rocade.wamp.messages import Role as ClientRole

EVERYTHING = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
HELLO = Hello("realm1", HelloDetails(roles=ClientRoles(caller=ClientRole(), subscriber=ClientRole())))


async def bombard(serializer: Serializer, joins: bool, sent: list[Message | bytes]) -> None:
    """One client sends all this; another one, who was there before, must still get its answers."""
    gateway = Gateway()
    gateway.add_realm("realm1", [Role("anonymous", [EVERYTHING])], sequential_requests=False)
    entrance = gateway.entrance({"anonymous": Anonymous("anonymous")})
    witness, hostile = MemoryClient(entrance, serializer=serializer), MemoryClient(entrance, serializer=serializer)
    await witness.send(serializer.encode(HELLO))
    assert type(serializer.decode(await witness.receive())) is Welcome
    if joins:
        await hostile.send(serializer.encode(HELLO))
    for item in sent:
        try:
            await hostile.send(item if isinstance(item, bytes) else serializer.encode(item))
        except ConnectionError:
            break  # it has been hung up on

    await witness.send(serializer.encode(Call(1, CallOptions(), "com.example.nobody")))
    assert type(serializer.decode(await witness.receive())) is Error
    await gateway.shutdown(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=str)
def test_no_sequence_of_messages_makes_the_gateway_fail(serializer: Serializer) -> None:
    faults = Faults()
    logging.getLogger("rocade").addHandler(faults)

    @fuzzing(150)
    @given(st.booleans(), st.lists(messages() | st.binary(max_size=40), max_size=8))
    def anything(joins: bool, sent: list[Message | bytes]) -> None:
        asyncio.run(bombard(serializer, joins, sent))
        assert faults.texts == []

    try:
        anything()
    finally:
        logging.getLogger("rocade").removeHandler(faults)
