"""A message that comes in fragments."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from picows import WSMsgType

from rocade.net.fragments import FragmentedMessage


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.one_of(st.text().map(str.encode), st.binary()), st.lists(st.integers(0, 20)))
def test_wherever_a_text_is_cut_it_is_found_to_be_utf8_or_not(data: bytes, cuts: list[int]) -> None:
    message = FragmentedMessage(WSMsgType.TEXT)
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    fragments = [data[start:end] for start, end in pairwise(bounds)]

    found = all(message.is_utf8(fragment, is_last=False) for fragment in fragments) and message.is_utf8(
        b"", is_last=True
    )

    assert message.is_checked
    assert found == is_text(data)


def test_text_that_cannot_become_right_is_known_at_its_first_wrong_byte() -> None:
    message = FragmentedMessage(WSMsgType.TEXT)

    assert message.is_utf8("€".encode()[:2], is_last=False)
    assert not message.is_utf8(b"(", is_last=False)


def test_binary_messages_are_not_looked_at() -> None:
    message = FragmentedMessage(WSMsgType.BINARY)
    for fragment in (b"\xff", b"", b"\xfe"):
        message.write(fragment)

    assert not message.is_checked
    assert message.kind is WSMsgType.BINARY
    assert message.tell() == 2
    assert message.getvalue() == b"\xff\xfe"
