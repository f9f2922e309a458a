"""What the script of the page reads, within a budget of bytes.

Every head has its full rows, while all of them fit: as half floats where there is room for these, else as a byte each.
Where they do not fit, the first of these that does: overviews (largest and mean weight of a cell) with the top keys of
every row; overviews alone. The full rows of heads that the user named are added then, one after another, while there
is room. `shows` says which it became, and the page repeats it.

How arrays are written: attncli/maps/page/encoding.py. What stands beside the maps: attncli/maps/page/further.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from attncli.maps.formats import describe, number
from attncli.maps.labels import label, visible
from attncli.maps.page.encoding import LEVELS, SIGNED_LEVELS, Encoded, Encoding, codes, encode, pack
from attncli.maps.page.further import Further
from attncli.maps.record import AttentionMap, Maps
from attncli.maps.roles import Role, roles

BUDGET = 20_000_000
"""Bytes of a page, unless the user says otherwise."""
HALVES = 3_000_000
"""Weights up to which half floats are worth their room."""
ROLES = 4_000_000
"""Weights up to which roles are looked for without being asked for."""
SPARE = 160_000
"""Bytes of a page beside its data, and more."""

Detail = Literal["all", "top", "overview"]


def payload(
    maps: Maps,
    budget: int = BUDGET,
    *,
    found: Sequence[Role] | None = None,
    beside: Maps | None = None,
    matches: Sequence[dict[str, Any]] = (),
    further: Further | None = None,
) -> dict[str, Any]:
    """The description with visible labels, and the weights. `found` are roles that are known already; `beside` are the
    maps of another run on the same texts, to compare with, and `matches` say which head of it is like which: `address`,
    `head`, `other` (or None), `divergence` (attncli/analysis/comparing.py); `further` is what else is known."""
    runs = [maps] if beside is None else [maps, beside]
    page = describe(maps)
    page["levels"] = {"uint8": LEVELS, "int8": SIGNED_LEVELS}
    page["faults"] = [visible(fault) for run in runs for fault in run.faults()]
    page["certified"] = not page["faults"]
    for name in ("row_sum_error", "output_error"):
        page[name] = number(max(getattr(run, name) for run in runs))
    page["about"] = {visible(name): visible(value) for name, value in maps.about.items()}
    page["roles"] = list(_roles(maps, found))
    page["matches"] = [{name: match[name] for name in ("address", "head", "other", "divergence")} for match in matches]
    page["samples"] = [sample for run in runs for sample in _samples(run, others=len(runs) > 1)]
    attentions = [attention for run in runs for _, _, attention in run.items()]
    entries = [entry for sample in page["samples"] for entry in sample["attentions"]]
    page["budget"] = budget
    further = further or Further()
    page |= further.data()
    room = budget - SPARE - len(str(page).encode("utf-8", "backslashreplace"))
    missing, used = further.put(maps, page["samples"], room)
    page |= {"further": missing} if missing else {}
    room -= used
    page["shows"] = fill(attentions, entries, room)
    return page


def _samples(maps: Maps, *, others: bool) -> Iterator[dict[str, Any]]:
    for described, sample in zip(describe(maps)["samples"], maps.samples, strict=True):
        axes: dict[tuple[str, ...], int] = {}
        described["texts"] = {name: visible(text) for name, text in sample.texts.items()}
        described["run"] = visible(maps.about.get("run", "")) if others else ""
        for entry, attention in zip(described["attentions"], sample.attentions, strict=True):
            for name in ("queries", "keys", "writes"):
                if entry[name] is not None:
                    entry[name] = axes.setdefault(tuple(map(label, entry[name])), len(axes))
            entry["certificate"]["worst"] = visible(entry["certificate"]["worst"])
            entry["faults"] = list(attention.certificate.faults())
        described["axes"] = [list(axis) for axis in axes]
        yield described


def _roles(maps: Maps, found: Sequence[Role] | None) -> Iterator[dict[str, Any]]:
    if found is None:
        size = sum(one.weights.size for _, _, one in maps.items() if one.weights is not None)
        found = roles(maps) if size <= ROLES else []
    for role in found:
        yield {**{name: number(value) if isinstance(value, float) else value for name, value in asdict(role).items()},
               "held": role.held}  # fmt: skip


def fill(attentions: Sequence[AttentionMap], entries: Sequence[dict[str, Any]], room: int) -> dict[str, Any]:
    """Put the weights into the entries; what they show, in a word and in numbers."""
    sizes = [one.weights.size if one.weights is not None else 0 for one in attentions]
    kept = all(one.weights is not None for one in attentions)
    if kept and sum(sizes) <= HALVES and 8 * sum(sizes) // 3 <= room:
        whole = [encode(one.whole(), "float16") for one in attentions]
        return _put_whole(entries, whole)
    # a byte deflates to a tenth at best in practice: what is far above the room is not tried
    if kept and sum(sizes) // 8 <= room and (whole := list(_fitting(attentions, room))):
        return _put_whole(entries, whole)
    detail, used = _reduced(attentions, entries, room)
    heads, left_out = 0, 0
    for one, entry in zip(attentions, entries, strict=True):
        added, used, missed = _named(one, entry, room, used)
        heads, left_out = heads + added, left_out + missed
    return {"detail": detail, "heads": heads, "left_out": left_out}


def _fitting(attentions: Sequence[AttentionMap], room: int) -> Iterator[Encoded]:
    """All of them as bytes; none where they do not fit."""
    found, used = [], 0
    for one in attentions:
        found.append(encode(one.whole(), "uint8"))
        used += found[-1].size
        if used > room:
            return
    yield from found


def _put_whole(entries: Sequence[dict[str, Any]], whole: Sequence[Encoded]) -> dict[str, Any]:
    for entry, encoded in zip(entries, whole, strict=True):
        entry["rows"] = asdict(encoded) | {"first": 0, "count": entry["shape"][1]}
        entry["overview"] = entry["top"] = None
    return {"detail": "all", "heads": sum(entry["shape"][0] for entry in entries), "left_out": 0}


def _reduced(attentions: Sequence[AttentionMap], entries: Sequence[dict[str, Any]], room: int) -> tuple[Detail, int]:
    """Overviews, and top keys where all of them fit; and the characters that they take."""
    used = top = 0
    for one, entry in zip(attentions, entries, strict=True):
        seen, summary = one.summary.overview, one.summary
        largest, mean = encode(seen.largest, "uint8"), encode(seen.mean, "uint8")
        used += largest.size + mean.size
        entry["overview"] = {
            "largest": asdict(largest), "mean": asdict(mean), "shape": list(seen.largest.shape[1:]),
            "cells": [seen.query_cell, seen.key_cell],
        }  # fmt: skip
        entry["rows"] = entry["top"] = None
        if used + top > room:
            continue
        weights, keys = encode(summary.top_weights, "uint8"), _indices(summary.top_keys, one.shape[2])
        top += weights.size + sum(map(len, keys))
        entry["top"] = {"keys": keys, "weights": asdict(weights), "count": summary.top_keys.shape[2],
                        "wide": one.shape[2] >= 65_535}  # fmt: skip
    if used + top <= room:
        return "top", used + top
    for entry in entries:
        entry["top"] = None
    return "overview", used


def _named(one: AttentionMap, entry: dict[str, Any], room: int, used: int) -> tuple[int, int, int]:
    """Full rows of the heads that were named: how many there are, the characters used, how many had no room."""
    rows = one.rows_kept
    if rows is None or (rows.file is not None and len(rows.heads) == one.heads):
        return 0, used, 0
    texts: list[str | None] = [None] * one.heads
    scale = float(np.abs(np.nan_to_num(rows.weights)).max(initial=0.0)) or 1.0
    encoding: Encoding = "int8" if float(np.nanmin(rows.weights, initial=0.0)) < 0 else "uint8"
    added = 0
    for place, head in enumerate(rows.heads):
        if len(rows.queries) * one.shape[2] // 8 > room - used:
            continue
        text = pack(codes(np.asarray(rows.weights[place]), scale, encoding).tobytes())
        if used + len(text) <= room:
            texts[head], used, added = text, used + len(text), added + 1
    if added:
        entry["rows"] = asdict(Encoded(texts, scale, encoding)) | {
            "first": rows.queries.start, "count": len(rows.queries)}  # fmt: skip
    return added, used, len(rows.heads) - added


def _indices(keys: NDArray[np.int32], count: int) -> list[str]:
    """Places of keys, -1 where there is none; in two bytes where these are enough."""
    return [pack(one.astype("<u2" if count < 65_535 else "<u4").tobytes()) for one in keys]
