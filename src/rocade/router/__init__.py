"""The routing core, sans-I/O: messages of sessions go in, lists of effects come out."""
