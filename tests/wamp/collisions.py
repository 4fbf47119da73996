"""Keys of maps that have the same hash: a dictionary of them takes a time that grows with the square of its size."""

from __future__ import annotations

__all__ = ["colliding_integers", "colliding_pairs"]

_BITS = (1 << 64) - 1
_MODULUS = (1 << 61) - 1  # that of the hashes of numbers, `sys.hash_info.modulus`
_PRIMES = (11400714785074694791, 14029467366897019727, 2870177450012600261)


def colliding_integers(count: int) -> list[int]:
    """Integers beyond 64 bits, as CBOR has them."""
    return [5 + n * _MODULUS for n in range(100, 100 + count)]


def colliding_pairs(count: int) -> list[tuple[int, int]]:
    """Pairs of integers of 64 bits, for which the second is reckoned from the first (CPython, `tuplehash`)."""
    inverse = pow(_PRIMES[1], -1, 1 << 64)
    wanted = _mixed(_PRIMES[2], 0)
    found: list[tuple[int, int]] = []
    first = 0
    while len(found) < count:
        second = (wanted - _mixed(_PRIMES[2], first)) * inverse & _BITS
        if second >= _MODULUS:
            second -= 1 << 64
        if -_MODULUS < second < _MODULUS and second not in (-1, -2):
            found.append((first, second))
        first += 1
    return found


def _mixed(accumulated: int, value: int) -> int:
    accumulated = accumulated + value * _PRIMES[1] & _BITS
    return (accumulated << 31 | accumulated >> 33) * _PRIMES[0] & _BITS
