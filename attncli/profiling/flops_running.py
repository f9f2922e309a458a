"""Multiply-adds of attention whose sums run over the keys. Part of attncli/profiling/flops.py."""

from attncli.spec.delta import DeltaRule, GatedDelta
from attncli.spec.linear import Linear, Performer
from attncli.spec.retention import Retention
from attncli.spec.running import Running


def running(part: Running, d_query: int, d_output: int, d_memory: int, *, queries: int, keys: int) -> int:
    """Maps, and for each key and each query products with the sum; no work grows with pairs."""
    heads, key, value, gates = part.heads, part.heads * part.d_head, part.heads * part.d_value, 0
    asks, each = key, heads * part.d_head * part.d_value
    match part:
        case Linear():
            each = heads * part.d_head * (part.d_value + 1)
        case Performer():
            each = heads * part.features * (part.d_value + 1 + part.d_head)
        case Retention():
            gates = value
        case DeltaRule():
            asks = key = part.qk_heads * part.d_head
            gates = value * (part.gate == "silu") + heads * (1 + isinstance(part, GatedDelta))
            each = each * 3 // 2  # what a key recalls, what it writes, what a query reads
    maps = queries * (d_query * (asks + gates) + value * d_output) + keys * d_memory * (key + value)
    return maps + each * (queries + keys)
