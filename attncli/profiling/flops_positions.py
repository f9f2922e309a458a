"""What a relative position costs beside the scores: products with tables of distances, and maps of them.

A table is met once for each distance that occurs, not for each pair. Units: multiply-adds, all heads together.
"""

from typing import NamedTuple

from attncli.spec import positions
from attncli.spec.attention import AnyAttention


class Placed(NamedTuple):
    """Multiply-adds of a position: for each row of the batch, and once for all rows."""

    row: int = 0
    once: int = 0


def widens(part: AnyAttention) -> int:
    """How many times wider the compared keys are: longrope keeps them in two turns where a mask looks back, pope as
    cosines and sines."""
    position = part.position
    doubled = isinstance(position, positions.Rotary) and isinstance(position.scaling, positions.Longrope)
    return 2 if isinstance(position, positions.Pope) or (doubled and part.mask.causal() is None) else 1


def placed(
    part: AnyAttention, *, d_model: int, ask: int, read: int, value: int, queries: int, keys: int, new_keys: int
) -> Placed:
    """The work of a position; `ask`, `read` and `value` are widths of one head."""
    heads, kv_heads = part.heads * part.maps_a_head, part.kv_heads * part.maps_a_head
    # all tokens at once, or the newest one alone, which has every key behind it
    first, last = (1 - keys, keys - 1) if new_keys == keys else (0, keys - 1)

    def distances(low: int, high: int) -> int:
        """Distances q - k of this call, cut to a range."""
        return min(max(last, low), high) - min(max(first, low), high) + 1

    every = distances(-keys, keys)
    match part.position:
        case positions.Shaw(max_distance=limit, on=on):
            rows = distances(-limit, limit)
            carried = part.heads * queries * rows * value if on == "both" else 0
            return Placed(heads * queries * rows * read + carried)
        case positions.TransformerXl():
            return Placed(heads * queries * every * read, every * d_model * kv_heads * read)
        case positions.Disentangled(max_distance=limit, key_distance=way):
            rows = distances(-limit, limit - 1)
            back = rows if way == "released" else distances(1 - limit, limit)
            once = rows * d_model * kv_heads * read + back * d_model * heads * read
            return Placed(heads * (queries * rows + back * keys) * read, once)
        case positions.Bank(extent=extent, d_bank=size):
            return Placed(queries * heads * size * (d_model + distances(0, extent - 1)))
        case positions.Cope(maximum=limit):
            return Placed(heads * queries * (limit + 1) * ask)
        case positions.Forgetting():
            return Placed(new_keys * d_model * heads)
        case positions.LogDistance(d_hidden=hidden):
            return Placed(0, every * hidden * (1 + heads))
        case _:
            return Placed()
