"""Other people's WAMP clients, which know nothing of Rocade, against a real router process."""
