"""The node's log, which looks like that of all processes of ours."""

from __future__ import annotations

from rocade.serve.logs import LEVELS, LineFormatter, LogLevel, configure_logging

__all__ = ["LEVELS", "LineFormatter", "LogLevel", "configure_logging"]
