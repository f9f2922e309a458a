"""Seeds for every purpose, drawn from the one seed of the spec."""

import hashlib


def mix(seed: int, *parts: str | int) -> int:
    """A 63-bit seed that is a pure function of the run's seed and of what it is for: `mix(7, "dropout", step)`."""
    digest = hashlib.blake2b(repr((seed, *parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
