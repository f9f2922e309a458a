"""Maps as data: safetensors, NPZ, JSON and CSV. Weights are written in float32, exactly; nothing is ever pickled.

Arrays are named `<sample>/<address>` and have the axes (head query key). What belongs to them (tokens, texts,
certificates) stands in the metadata of a safetensors file, in the entry `about` of an NPZ as JSON text, and around the
weights in JSON. CSV is the long form, one weight a line.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from attncli.maps.record import AXES, AttentionMap, Maps, Sample, Weights
from attncli.maps.statistics import statistics

FORMAT = "attncli maps 1"
"""Changes when a reader of these files would have to."""


def describe(maps: Maps) -> dict[str, Any]:
    """Everything but the weights, ready for JSON."""
    faults = maps.faults()
    return {
        "format": FORMAT,
        "axes": list(AXES),
        "about": maps.about,
        "certified": not faults,
        "faults": faults,
        "row_sum_error": number(maps.row_sum_error),
        "missing": maps.missing(),
        "output_error": number(maps.output_error),
        "samples": [describe_sample(sample) for sample in maps.samples],
    }


def describe_sample(sample: Sample) -> dict[str, Any]:
    """One sample without its weights."""
    return {
        "texts": sample.texts,
        "decoding": sample.decoding,
        "log_probability": number(sample.log_probability),
        "replay_error": number(sample.replay_error),
        "replay_tolerance": sample.replay_tolerance,
        "attentions": [describe_attention(attention) for attention in sample.attentions],
    }


def describe_attention(attention: AttentionMap) -> dict[str, Any]:
    """One map without its weights."""
    certificate = {
        name: number(value) if isinstance(value, float) else value
        for name, value in asdict(attention.certificate).items()
    }
    return {
        "address": attention.address,
        "kind": attention.kind,
        "kernel": attention.kernel,
        "dtype": attention.dtype,
        "shape": list(attention.weights.shape),
        "queries": list(attention.queries),
        "keys": list(attention.keys),
        "writes": None if attention.writes is None else list(attention.writes),
        "steps": None if attention.steps is None else list(attention.steps),
        "certificate": certificate | {"holds": attention.certificate.holds},
        "statistics": {name: [number(v) for v in values] for name, values in statistics(attention).items()},
    }


def number(value: float | None) -> float | str | None:
    """A number as JSON has it; one that is none is written as a word, so that no reader takes it for a zero."""
    return value if value is None or np.isfinite(value) else str(value)


def to_safetensors(maps: Maps) -> bytes:
    """One tensor a map; the description in the metadata."""
    from safetensors.numpy import save

    return save(_arrays(maps), metadata={"attncli": to_text(describe(maps))})


def to_npz(maps: Maps) -> bytes:
    """Compressed arrays, and `about`."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"about": np.array(to_text(describe(maps))), **_arrays(maps)}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def to_json(maps: Maps) -> bytes:
    """The description, with `weights` in every map."""
    whole = describe(maps)
    for described, sample in zip(whole["samples"], maps.samples, strict=True):
        for entry, attention in zip(described["attentions"], sample.attentions, strict=True):
            entry["weights"] = _numbers(attention.weights)
    return (to_text(whole) + "\n").encode("utf-8", "backslashreplace")


def to_csv(maps: Maps) -> bytes:
    """sample, address, head, query, key, query_token, key_token, writes, weight."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sample", "address", "head", "query", "key", "query_token", "key_token", "writes", "weight"])
    for name, _, attention in maps.items():
        writer.writerows(_lines(name.split("/")[0], attention))
    return text.getvalue().encode("utf-8", "backslashreplace")


def to_text(value: Any) -> str:
    """JSON with the characters as they are; a lone surrogate, which UTF-8 has no bytes for, as its escape."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def _arrays(maps: Maps) -> dict[str, Weights]:
    return {name: np.ascontiguousarray(attention.weights) for name, _, attention in maps.items()}


def _numbers(weights: Weights) -> Any:
    """Nested lists of the shortest numbers that read back as the same float32."""
    short = [_short(value) for value in weights.ravel()]
    return np.array(short, dtype=object).reshape(weights.shape).tolist()


def _short(value: np.float32) -> float | None:
    return float(str(value)) if np.isfinite(value) else None


def _lines(sample: str, attention: AttentionMap) -> Iterator[list[Any]]:
    for (head, query, key), weight in np.ndenumerate(attention.weights):
        writes = "" if attention.writes is None else attention.writes[query]
        tokens = attention.queries[query], attention.keys[key]
        yield [sample, attention.address, head, query, key, *tokens, writes, weight]
