"""How long one client can hold the router's event loop: `scripts/bench holds`."""
