"""How long a test waits for what must come: long enough for a slow machine, never the time that it takes."""

from __future__ import annotations

import os

PATIENCE = float(os.environ.get("ROCADE_TEST_PATIENCE", "1"))
"""By how much slower than others this machine is said to be."""

TIMEOUT = 30.0 * PATIENCE
"""Seconds."""
