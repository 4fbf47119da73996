"""The WAMP v2 protocol, sans-I/O: messages, serializers, URIs, ids, handshakes and framing.

Nothing in this package opens a socket, reads a clock, draws a random number or knows an event loop.
"""
