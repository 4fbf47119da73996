"""Bytes: sockets, frames, TLS. This package never knows what a realm is."""
