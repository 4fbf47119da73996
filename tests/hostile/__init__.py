"""Bad input, from outside, against a router in a process of its own: it must refuse it and go on serving others."""
