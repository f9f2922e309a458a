"""Maps as data: safetensors, NPZ, JSON, CSV, Parquet. Weights are written in float32, exactly; nothing is ever pickled.

Arrays are named `<sample>/<address>` and have the axes (head query key). What belongs to them (tokens, texts,
certificates) stands in the metadata of a safetensors or Parquet file, in the entry `about` of an NPZ as JSON text, and
around the weights in JSON. CSV and Parquet are the long form, one weight a row. Of a map whose rows were not kept, its
summary is written: the first three as arrays, CSV and Parquet as the top keys of every row.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attncli.maps.record import AXES, AttentionMap, Maps, Sample, Weights
from attncli.maps.statistics import statistics

FORMAT = "attncli maps 1"
"""Changes when a reader of these files would have to."""
COLUMNS = ("sample", "address", "head", "query", "key", "query_token", "key_token", "writes", "weight")
"""Of the long form."""


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
        "shape": list(attention.shape),
        "kept": _kept(attention),
        "queries": list(attention.queries),
        "keys": list(attention.keys),
        "writes": None if attention.writes is None else list(attention.writes),
        "steps": None if attention.steps is None else list(attention.steps),
        "certificate": certificate | {"holds": attention.certificate.holds},
        "statistics": {name: [number(v) for v in values] for name, values in statistics(attention).items()},
    }


def _kept(attention: AttentionMap) -> Any:
    """Which rows there are: all, none, or those of some heads and queries, with the file that has them."""
    rows = attention.rows_kept
    if rows is None:
        return "none" if attention.weights is None else "all"
    ends = [rows.queries.start, rows.queries.stop]
    return {"heads": list(rows.heads), "queries": ends, "file": rows.file}


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
            weights = shown(attention)
            entry["weights"] = None if weights is None else _numbers(weights)
            entry["summary"] = describe_summary(attention) if attention.weights is None else None
    return (to_text(whole) + "\n").encode("utf-8", "backslashreplace")


def to_csv(maps: Maps) -> bytes:
    """sample, address, head, query, key, query_token, key_token, writes, weight."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, _, attention in maps.items():
        writer.writerows(_lines(name.split("/")[0], attention))
    return text.getvalue().encode("utf-8", "backslashreplace")


def to_parquet(maps: Maps) -> bytes:
    """The columns of the CSV, a row group a map; the description in the metadata `attncli`."""
    import pyarrow
    from pyarrow import parquet

    words, place = pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), pyarrow.int32()
    kinds = [place, words, place, place, place, words, words, words, pyarrow.float32()]
    schema = pyarrow.schema(list(zip(COLUMNS, kinds, strict=True)), metadata={"attncli": to_text(describe(maps))})

    def named(of: NDArray[Any], tokens: Sequence[str]) -> Any:
        known = [token.encode("utf-8", "backslashreplace").decode() for token in tokens]
        return pyarrow.DictionaryArray.from_arrays(pyarrow.array(of, place), pyarrow.array(known, pyarrow.string()))

    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for name, _, one in maps.items():
            head, query, key, weight = _places(one)
            same = np.zeros_like(head)
            columns = [
                pyarrow.array(same + int(name.split("/")[0]), place), named(same, [one.address]),
                *(pyarrow.array(each, place) for each in (head, query, key)), named(query, one.queries),
                named(key, one.keys), named(same, [""]) if one.writes is None else named(query, one.writes), weight,
            ]  # fmt: skip
            writer.write_table(pyarrow.table(columns, schema=schema))
    return buffer.getvalue()


def to_text(value: Any) -> str:
    """JSON with the characters as they are; a lone surrogate, which UTF-8 has no bytes for, as its escape."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def _arrays(maps: Maps) -> dict[str, Any]:
    """Rows under the name of their map; of a map that is not whole also its summary, as `<name>:overview_mean` and so
    on."""
    found: dict[str, Any] = {}
    for name, _, attention in maps.items():
        if (weights := shown(attention)) is not None:
            found[name] = np.ascontiguousarray(weights)
        if attention.weights is None:
            found |= {f"{name}:{part}": np.ascontiguousarray(array) for part, array in parts(attention).items()}
    return found


def shown(attention: AttentionMap) -> Weights | None:
    """The rows that are written into the files of an export: all, or those chosen, where these are in memory."""
    rows = attention.rows_kept
    if attention.weights is not None or rows is None:
        return attention.weights
    return rows.weights if rows.file is None else None


def parts(attention: AttentionMap) -> dict[str, NDArray[Any]]:
    """The arrays of a summary, by name; attncli/maps/summary.py says what they are."""
    summary = attention.summary
    return {
        "overview_largest": summary.overview.largest,
        "overview_mean": summary.overview.mean,
        "top_keys": summary.top_keys,
        "top_weights": summary.top_weights,
        "received": summary.received,
        "near": summary.near,
    }


def describe_summary(attention: AttentionMap) -> dict[str, Any]:
    """A summary in JSON: its arrays, and how many places a cell of the overview covers."""
    overview = attention.summary.overview
    arrays = {
        name: _numbers(each) if each.dtype.kind == "f" else each.tolist() for name, each in parts(attention).items()
    }
    return {"query_cell": overview.query_cell, "key_cell": overview.key_cell, **arrays}


def _numbers(weights: Weights) -> Any:
    """Nested lists of the shortest numbers that read back as the same float32."""
    short = [_short(value) for value in weights.ravel()]
    return np.array(short, dtype=object).reshape(weights.shape).tolist()


def _short(value: np.float32) -> float | None:
    return float(str(value)) if np.isfinite(value) else None


def _lines(sample: str, attention: AttentionMap) -> Iterator[list[Any]]:
    places = _places(attention)
    for head, query, key, weight in zip(*(each.tolist() for each in places[:3]), places[3], strict=True):
        writes = "" if attention.writes is None else attention.writes[query]
        tokens = attention.queries[query], attention.keys[key]
        yield [sample, attention.address, head, query, key, *tokens, writes, weight]


def _places(attention: AttentionMap) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], Weights]:
    """Head, query, key and weight of all rows, or of those chosen; else of the top keys of every row."""
    weights, summary = shown(attention), attention.summary
    if weights is None:
        head, query, place = np.nonzero(summary.top_keys >= 0)
        return head, query, summary.top_keys[head, query, place], summary.top_weights[head, query, place]
    head, query, key = np.indices(weights.shape).reshape(3, -1)
    if attention.weights is None and attention.rows_kept is not None:
        head = np.array(attention.rows_kept.heads)[head]
        query = query + attention.rows_kept.queries.start
    return head, query, key, weights.ravel()
