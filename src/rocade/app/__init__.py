"""`Application`: what a Python developer writes against."""
