"""Rocade against Crossbar.io (or any other WAMP router): the same loads, on the same machine, interleaved.

Run it with `scripts/bench`; `python -m benchmarks --help` lists what can be chosen.
"""
