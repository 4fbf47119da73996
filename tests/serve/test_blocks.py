"""Many messages in blocks: as one long list would have them."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.serve.scene import WIRES, settle

from rocade.serve import blocks as blocks_module
from rocade.serve.blocks import BLOCK_BYTES, Blocks
from rocade.serve.translation import Slot

WIRE = WIRES["json"]
LIMIT = 2**30


def steps() -> st.SearchStrategy[list[tuple[str, int]]]:
    names = st.sampled_from(["put", "put", "put", "slot", "fill", "remove", "take", "drop", "share", "clear"])
    return st.lists(st.tuples(names, st.integers(0, 2 * BLOCK_BYTES)), max_size=60)


def check(blocks: Blocks, expected: list[Any]) -> None:
    assert list(blocks) == expected
    assert len(blocks) == len(expected)
    assert blocks.size == sum(map(len, expected))
    assert sum(size for _, size in blocks.blocks()) == blocks.size
    assert all(sum(map(len, block)) == size for block, size in blocks.blocks())


@given(steps())
def test_blocks_are_as_one_long_list(plan: list[tuple[str, int]]) -> None:
    async def main() -> None:
        blocks, expected = Blocks(LIMIT), list[Any]()
        slots: list[Slot] = []
        for name, number in plan:
            if name == "put":
                blocks.put(bytes(number))
                expected.append(bytes(number))
            elif name == "slot":
                slots.append(Slot(WIRE))
                blocks.put_slot(slots[-1])
                expected.append(slots[-1])
            elif name == "fill" and slots:
                slot = slots.pop(number % len(slots))
                assert blocks.replace(slot, bytes(number)) is (slot in expected)
                if slot in expected:
                    expected[expected.index(slot)] = bytes(number)
            elif name == "remove" and slots:
                slot = slots.pop(number % len(slots))
                blocks.remove(slot)
                expected = [message for message in expected if message is not slot]
            elif name == "take":
                taken = blocks.take()
                assert taken == expected[: len(taken)]
                assert taken or not expected
                expected = expected[len(taken) :]
            elif name == "drop" and expected:
                blocks.drop(number % (len(expected) + 1))
                expected = expected[number % (len(expected) + 1) :]
            elif name == "share" and not slots:
                other = Blocks(LIMIT)
                other.put(b"before")
                other.extend(blocks)
                blocks.put(b"behind")
                check(other, [b"before", *expected])
                expected.append(b"behind")
                blocks.drop(1)
                expected = expected[1:] if len(expected) > 0 else expected
                other.clear()
            elif name == "clear":
                blocks.clear()
                expected.clear()
                slots.clear()
            check(blocks, expected)

    asyncio.run(main())


def test_no_block_is_much_longer_than_it_should_be() -> None:
    blocks = Blocks(LIMIT)

    for _ in range(10_000):
        blocks.put(bytes(100))

    assert [size for _, size in blocks.blocks()] == [BLOCK_BYTES // 100 * 100 + 100] * 3 + [1_000_000 - 3 * 262_200]


async def test_memory_is_given_back_a_few_blocks_at_a_time() -> None:
    blocks = Blocks(LIMIT)
    for _ in range(10):
        blocks.put(bytes(BLOCK_BYTES + 1))
    held = [block for block, _ in blocks.blocks()]
    waiting = blocks._full

    blocks.clear()

    assert len(blocks) == blocks.size == 0
    assert len(waiting) == len(held) - 1 - blocks_module.LET_GO_AT_ONCE
    await settle()
    assert not waiting
