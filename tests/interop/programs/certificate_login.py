"""autobahn components that log in by their certificates, one after the other.

Run with the router's address, the file of the authority's certificate, and for each component the files of its own
certificate and key, with a comma between them; "-" stands for one that has none. What they see they print, one JSON
value a line.
"""

import asyncio
import json
import ssl
import sys
from urllib.parse import urlsplit

from autobahn.asyncio.component import Component
from autobahn.asyncio.wamp import ApplicationSession

URL, AUTHORITY, *PAIRS = sys.argv[1:]


class Visitor(ApplicationSession):
    def onConnect(self):
        self.join(self.config.realm, ["tls"])

    def onJoin(self, details):
        print(json.dumps([details.authid, details.authrole, details.authmethod]), flush=True)
        self.leave()

    def onLeave(self, details):
        if not details.reason.startswith("wamp.close."):  # the router's answer to its own goodbye
            print(json.dumps([details.reason]), flush=True)
        self.disconnect()


def transport(context):
    address = urlsplit(URL)
    endpoint = {"type": "tcp", "host": address.hostname, "port": address.port, "tls": context}
    if address.scheme == "rss":
        kind = {"type": "rawsocket", "url": f"rss://{address.netloc}", "serializer": "cbor"}
    else:
        kind = {"type": "websocket", "url": URL, "serializers": ["cbor"]}
    return {**kind, "endpoint": endpoint, "max_retries": 0}


async def visit(pair):
    context = ssl.create_default_context(cafile=AUTHORITY)
    if pair != "-":
        context.load_cert_chain(*pair.split(","))
    component = Component(transports=[transport(context)], realm="realm1", session_factory=Visitor)
    await asyncio.wait([component.start(asyncio.get_running_loop())])


async def main():
    for pair in PAIRS:
        await visit(pair)


asyncio.run(main())
