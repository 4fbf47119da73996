"""Rocade: a realtime router and framework, speaking WAMP v2."""

__version__ = "0.1.0"
