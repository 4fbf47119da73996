"""xconn: offers, calls, fails, publishes with acknowledgement, withdraws and leaves.

Run with the router's address and the name of a serializer. What it sees it prints, one JSON value a line.
"""

import json
import os
import queue
import sys

from wampproto.serializers import CBORSerializer, JSONSerializer, MsgPackSerializer
from xconn.client import Client
from xconn.exception import ApplicationError
from xconn.types import Result


def seen(value):
    print(json.dumps(value), flush=True)


def add(invocation):
    return Result([sum(invocation.args)], {"of": invocation.kwargs})


def fail(invocation):
    raise ApplicationError("com.example.error.no", "not today")


serializer = {"json": JSONSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}[sys.argv[2]]()
service = Client(serializer=serializer).connect(sys.argv[1], "realm1")
client = Client(serializer=serializer).connect(sys.argv[1], "realm1")
events = queue.Queue()

registration = service.register("com.example.xconn.add", add)
service.register("com.example.xconn.fail", fail)
result = client.call("com.example.xconn.add", [5, 7], {"units": "apples"})
seen([result.args, result.kwargs])
for procedure in ("com.example.xconn.fail", "com.example.xconn.nobody"):
    try:
        client.call(procedure)
    except ApplicationError as error:
        seen(error.message)

service.subscribe("com.example.xconn", events.put, {"match": "prefix"})
client.publish("com.example.xconn.news", ["hello"], {"to": "all"}, {"acknowledge": True})
event = events.get(timeout=10)
seen([event.args, event.kwargs, event.details["topic"]])

registration.unregister()
service.leave()
client.leave()
seen("left")
os._exit(0)  # its reading thread would wait until the router closes a RawSocket connection that we have left
