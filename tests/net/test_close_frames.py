"""What is in a CLOSE frame."""

from __future__ import annotations

import pytest

from rocade.net.close_frames import InvalidClose, closed_by_peer, decode_close, encode_close


def test_a_reason_for_closing_is_cut_at_a_character() -> None:
    payload = encode_close(1000, "€" * 50)

    assert decode_close(payload) == (1000, "€" * 41)
    assert len(payload) == 125


def test_an_empty_close_has_no_code() -> None:
    assert decode_close(b"") == (None, "")
    with pytest.raises(InvalidClose):
        decode_close(b"\x00")


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (None, "", "closed by peer"),
        (1000, "", "closed by peer (1000)"),
        (3000, "enough", "closed by peer (3000 enough)"),
    ],
)
def test_why_a_connection_is_gone_is_said_in_plain_words(code: int | None, reason: str, text: str) -> None:
    assert closed_by_peer(code, reason) == text
