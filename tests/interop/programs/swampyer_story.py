"""swampyer: offers, calls, fails, publishes and leaves. It draws its request ids at random.

Run with the router's address and a realm. What it sees it prints, one JSON value a line.
"""

import json
import queue
import sys

from swampyer import ExInvocationError, WAMPClient


def seen(value):
    print(json.dumps(value), flush=True)


def fail(invocation):
    raise ValueError("not today")


where = {"url": sys.argv[1], "realm": sys.argv[2], "auto_reconnect": False, "loop_timeout": 0.1, "timeout": 5}
service = WAMPClient(**where).start()
client = WAMPClient(**where).start()
events = queue.Queue()

service.register("com.example.swampyer.add", lambda invocation, a, b: a + b)
service.register("com.example.swampyer.fail", fail)
seen(client.call("com.example.swampyer.add", 5, 7))
for procedure in ("com.example.swampyer.fail", "com.example.swampyer.nobody"):
    try:
        client.call(procedure)
    except ExInvocationError as error:
        seen(str(error))

service.subscribe("com.example.swampyer", lambda event, text: events.put(text), options={"match": "prefix"})
client.publish("com.example.swampyer.news", args=["hello"], options={"acknowledge": True})
seen(events.get(timeout=10))

service.disconnect()
client.disconnect()
