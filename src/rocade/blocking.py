"""`rocade.blocking`: the client for programs without an event loop, such as Flask and Django sites and scripts.

::

    client = rocade.blocking.connect("ws://127.0.0.1:8080/ws", realm="realm1")
    print(client.call("demo.add", 2, 3))
"""

from __future__ import annotations

from rocade.client.blocking import Client, Registration, Stream, Subscription, connect

__all__ = ["Client", "Registration", "Stream", "Subscription", "connect"]
