"""A WebSocket message that comes in fragments (RFC 6455, section 5.4)."""

from __future__ import annotations

from codecs import utf_8_decode
from io import BytesIO

from picows import WSMsgType

__all__ = ["FragmentedMessage"]


class FragmentedMessage(BytesIO):
    """What has come of a message so far: `write` adds to it, and `getvalue` has it without a copy.

    A file rather than a list: there may be millions of fragments of a byte.

    Attributes:
        kind: what it is, text or binary.
        is_checked: whether `is_utf8` has to be asked about each fragment.
    """

    def __init__(self, kind: WSMsgType) -> None:
        """
        Args:
            kind: of the first frame. Text is checked as it comes: as soon as it is wrong, nobody has to wait for the
                rest.
        """
        super().__init__()
        self.kind = kind
        self.is_checked = kind is WSMsgType.TEXT
        # The bytes of a character that continues in the next fragment.
        self._incomplete = b""

    def is_utf8(self, data: bytes, *, is_last: bool) -> bool:
        """Whether the message can be text, with one more fragment.

        Args:
            data: the fragment.
            is_last: whether nothing follows.
        """
        unchecked = self._incomplete + data
        try:
            _, checked = utf_8_decode(unchecked, "strict", is_last)
        except UnicodeDecodeError:
            return False
        self._incomplete = unchecked[checked:]
        return True
