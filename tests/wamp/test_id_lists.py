"""Long lists of ids are what their serializer would make of them, put together bit by bit, and more quickly."""

from __future__ import annotations

import pytest
from msgspec import Raw

from rocade.wamp.codec import SERIALIZERS, Serializer
from rocade.wamp.id_lists import AT_ONCE, ids_payload
from rocade.wamp.ids import MAX_ID

LISTS = [
    [],
    [0],
    [1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1],
    [1, 2**32, MAX_ID],
    list(range(23)),
    list(range(24)),
    list(range(255)),
    list(range(256)),
    list(range(1, 65536)),
    list(range(1, 65538)),
    [MAX_ID - each for each in range(AT_ONCE)],
    [MAX_ID, *range(AT_ONCE)],
    list(range(2 * AT_ONCE)),
]


def made(serializer: Serializer, ids: list[int] | dict[str, list[int]]) -> Raw:
    """The payload, after as many steps as there are portions."""
    steps, portions = ids_payload(serializer, ids), 0
    most = sum(-(-len(each) // AT_ONCE) for each in (ids.values() if isinstance(ids, dict) else [ids]))
    while True:
        try:
            next(steps)
        except StopIteration as result:
            assert portions == most
            payload: Raw = result.value
            return payload
        portions += 1


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize("ids", LISTS, ids=len)
def test_a_list_is_an_argument(name: str, ids: list[int]) -> None:
    serializer = SERIALIZERS[name]
    assert serializer.load(made(serializer, list(ids))) == [ids]


@pytest.mark.parametrize("name", SERIALIZERS)
def test_several_lists_by_name_are_an_argument(name: str) -> None:
    serializer = SERIALIZERS[name]
    by_name = {f"{number} ä": ids for number, ids in enumerate(LISTS)}
    assert serializer.load(made(serializer, {name: list(ids) for name, ids in by_name.items()})) == [by_name]
