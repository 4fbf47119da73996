"""Fetching what somebody publishes under a URL, with limits."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

__all__ = ["fetched"]


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not from TLS to something that anybody may answer."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise ValueError("it redirects from https to something else")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetched(url: str, seconds: float, max_bytes: int) -> bytes:
    """What is at a URL. Blocks.

    Args:
        url: with https or http.
        seconds: how long it may take, even if it comes in drops.
        max_bytes: how much it may be.
    Raises:
        OSError, ValueError: it cannot be had.
    """
    deadline = time.monotonic() + seconds
    request = urllib.request.Request(url, headers={"Accept": "application/jwk-set+json, application/json"})
    try:
        with urllib.request.build_opener(_NoDowngrade).open(request, timeout=seconds) as response:
            data = b""
            while piece := response.read1(65536):
                data += piece
                if len(data) > max_bytes:
                    raise ValueError(f"it has more than {max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not complete within {seconds:g} s")
            return data
    except urllib.error.HTTPError as error:
        with error:
            raise ValueError(f"status {error.code}") from None
    except urllib.error.URLError as error:
        raise ValueError(str(error.reason)) from None
