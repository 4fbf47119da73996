"""How the router fares under load: its memory is bounded, whoever does not read, and it ends in time."""
