"""HTTP path services: ASGI applications for what is served beside WAMP, and the site that holds them together.

They take plain arguments and know nothing of configurations, realms or sockets.
"""
