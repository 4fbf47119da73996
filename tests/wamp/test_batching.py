"""Batches of messages: what is written is read back, and what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocade.errors import ProtocolViolation
from rocade.wamp.batching import batch, separator_of, unbatch

texts = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF)).map(str.encode), min_size=1)


@given(texts, st.sampled_from([b"\x1e", b"\x18"]))
def test_a_json_batch_is_read_back(messages: list[bytes], separator: bytes) -> None:
    data = batch(messages, is_binary=False, separator=separator)

    assert list(unbatch(data, is_binary=False)) == messages
    assert separator_of(data) == separator


@given(st.lists(st.binary(), min_size=1))
def test_a_binary_batch_is_read_back(messages: list[bytes]) -> None:
    assert list(unbatch(batch(messages, is_binary=True), is_binary=True)) == messages


def test_each_json_message_has_a_separator_behind_it() -> None:
    assert batch([b"[1]", b"[2]"], is_binary=False) == b"[1]\x1e[2]\x1e"


def test_each_binary_message_has_its_length_before_it() -> None:
    assert batch([b"abc", b""], is_binary=True) == b"\0\0\0\x03abc\0\0\0\0"


@pytest.mark.parametrize("is_binary", [False, True])
def test_an_empty_batch_is_refused(is_binary: bool) -> None:
    with pytest.raises(ProtocolViolation, match="empty batch"):
        list(unbatch(b"", is_binary=is_binary))


@pytest.mark.parametrize(
    ("data", "is_binary", "whole"),
    [
        (b"[1]\x1e[2]", False, 1),
        (b"[1]", False, 0),
        (b"\0\0\0\x01a\0\0", True, 1),
        (b"\0\0\0\x01a\0\0\0\x02b", True, 1),
    ],
)
def test_what_is_whole_comes_before_the_complaint(data: bytes, is_binary: bool, whole: int) -> None:
    messages = unbatch(data, is_binary=is_binary)

    assert [next(messages) for _ in range(whole)] == [b"a" if is_binary else b"[1]"] * whole
    with pytest.raises(ProtocolViolation):
        next(messages)
