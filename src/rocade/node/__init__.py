"""The node: reads the configuration, checks it, and runs the processes that it describes."""
