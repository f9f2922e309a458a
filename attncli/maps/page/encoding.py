"""Arrays as the page has them: half floats or bytes, deflated and in base64, an array a head, so that a head is decoded
when it is looked at."""

import base64
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from attncli.maps.record import Weights

LEVELS = 254
"""Steps of a byte above its smallest; 0 is kept for a weight that is exactly 0."""
SIGNED_LEVELS = 126
"""The same where weights may be below 0."""

Encoding = Literal["float16", "uint8", "int8"]


@dataclass(frozen=True)
class Encoded:
    """One array (head, …) as text."""

    heads: list[str | None]
    scale: float
    """What the largest code stands for."""
    encoding: Encoding

    @property
    def size(self) -> int:
        """Characters."""
        return sum(len(text) for text in self.heads if text is not None)


def encode(weights: Weights, encoding: Literal["float16", "uint8"]) -> Encoded:
    """An array (head, …), head by head. Whatever is not 0 stays so, so that what is blank on the page is blank in the
    model. Bytes have a sign where a weight is below 0."""
    finite = _finite(weights)
    if encoding == "float16":
        half = finite.astype("<f2")
        least = np.finfo(np.float16).smallest_subnormal
        half = np.where((finite != 0) & (half == 0), np.where(finite < 0, -least, least), half)
        return Encoded(_side_by_side(lambda one: pack(one.astype("<f2").tobytes()), half), 1.0, "float16")
    low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    kind: Encoding = "int8" if low < 0 else "uint8"
    scale = max(-low, high) or 1.0
    return Encoded(_side_by_side(lambda one: pack(codes(one, scale, kind).tobytes()), finite), scale, kind)


def _side_by_side(make: Callable[[NDArray[Any]], str], heads: NDArray[Any]) -> list[str | None]:
    """Of each head, in order; NumPy and zlib leave other threads alone."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(make, heads))


def _finite(weights: Weights) -> Weights:
    """With 0 for what is no finite number."""
    if np.isfinite(weights.sum(dtype=np.float64)):
        return weights
    found: Weights = np.nan_to_num(weights, nan=0.0, posinf=0.0, neginf=0.0)
    return found


def codes(weights: Weights, scale: float, encoding: Encoding) -> NDArray[Any]:
    """The bytes of weights whose largest is `scale`."""
    levels = LEVELS if encoding == "uint8" else SIGNED_LEVELS
    finite = _finite(weights)
    made = np.abs(finite)
    made *= np.float32(levels / scale)
    made += 1.5  # rounds, and leaves 0 to what is exactly 0
    made *= finite != 0 if encoding == "uint8" else np.sign(finite)
    return made.astype(np.uint8 if encoding == "uint8" else np.int8)


def pack(raw: bytes) -> str:
    """Deflated, in base64. Weights have runs of zeros and little else that repeats: a search for it costs more than it
    finds."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_RLE)
    return base64.b64encode(deflate.compress(raw) + deflate.flush()).decode()


def unpack(text: str) -> bytes:
    """The inverse of `pack`."""
    return zlib.decompress(base64.b64decode(text), -15)


def decode(encoded: dict[str, Any], shape: tuple[int, ...]) -> Weights:
    """The weights (head, …) of an entry as the page shows them: the inverse of `encode` but for its rounding."""
    raw = b"".join(unpack(text) for text in encoded["heads"])
    if encoded["encoding"] == "float16":
        return np.frombuffer(raw, "<f2").reshape(shape).astype(np.float32)
    signed = encoded["encoding"] == "int8"
    read = np.frombuffer(raw, np.int8 if signed else np.uint8).reshape(shape).astype(np.float32)
    step = np.float32(encoded["scale"] / (SIGNED_LEVELS if signed else LEVELS))
    weights: Weights = (np.sign(read) * np.maximum(np.abs(read) - 1, 0) * step).astype(np.float32)
    return weights
