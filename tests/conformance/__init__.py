"""What a WAMP router does, as its peers see it: one suite over every transport, serializer and event loop."""
