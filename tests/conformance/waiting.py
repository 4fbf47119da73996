"""How long a test waits for what must come: long enough for a slow machine, never the time that it takes."""

from __future__ import annotations

import os

TIMEOUT = 10.0 * float(os.environ.get("ROCADE_TEST_PATIENCE", "1"))
"""Seconds; the environment variable multiplies them."""
