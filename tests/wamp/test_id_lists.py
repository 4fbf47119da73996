"""Long lists of ids are what their serializer would make of them, put together more quickly."""

from __future__ import annotations

import pytest

from rocade.wamp.codec import SERIALIZERS
from rocade.wamp.id_lists import ids_payload
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
    [MAX_ID - each for each in range(1000)],
]


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize("ids", LISTS, ids=len)
def test_a_list_is_an_argument(name: str, ids: list[int]) -> None:
    serializer = SERIALIZERS[name]
    assert serializer.load(ids_payload(serializer, ids)) == [ids]


@pytest.mark.parametrize("name", SERIALIZERS)
def test_several_lists_by_name_are_an_argument(name: str) -> None:
    serializer = SERIALIZERS[name]
    by_name = {f"{number} ä": ids for number, ids in enumerate(LISTS)}
    assert serializer.load(ids_payload(serializer, by_name)) == [by_name]
