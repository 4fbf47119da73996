"""Ids of the three scopes (basic/building_blocks.md, IDs)."""

from __future__ import annotations

from rocade.wamp.ids import MAX_ID, MAX_ROUTER_ID, RouterIds, next_request_id


def test_request_ids_count_up_from_one() -> None:
    request, given_out = 0, []
    for _ in range(4):
        request = next_request_id(request)
        given_out.append(request)

    assert given_out == [1, 2, 3, 4]


def test_request_ids_wrap_after_the_largest() -> None:
    assert MAX_ID == 2**53
    assert next_request_id(2**53 - 1) == 2**53
    assert next_request_id(2**53) == 1


def test_router_ids_count_up_from_one() -> None:
    ids = RouterIds()

    assert [ids.next(()) for _ in range(4)] == [1, 2, 3, 4]


def test_router_ids_skip_those_in_use() -> None:
    ids = RouterIds()

    assert [ids.next({1, 2, 4}) for _ in range(3)] == [3, 5, 6]


def test_router_id_that_became_free_is_not_given_out_again_soon() -> None:
    ids, taken = RouterIds(), set()
    taken.add(ids.next(taken))
    taken.clear()

    assert ids.next(taken) == 2


def test_router_ids_stay_below_two_to_the_32_and_wrap() -> None:
    ids = RouterIds()
    ids._last = MAX_ROUTER_ID - 1

    assert MAX_ROUTER_ID == 2**32 - 1
    assert [ids.next({1, 2}) for _ in range(3)] == [2**32 - 1, 3, 4]
