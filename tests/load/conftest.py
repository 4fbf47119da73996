"""What tests with many connections need."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

FILES = 5500


@pytest.fixture
def many_files() -> Iterator[None]:
    """Lets this process have a connection for each of 5,000 sessions."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.fail(
            f"this test needs {FILES} open files in this process and in the router; the system allows {hard}: "
            "raise the hard limit (ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if soft == resource.RLIM_INFINITY else max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
