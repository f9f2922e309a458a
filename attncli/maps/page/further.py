"""What a page shows beside maps, where it is known: heads over training and over rows, importance, other maps, claims.

Each has a script of its own, which only a page that has the data carries.

    film          heads.jsonl of the run (`train.watch`): a byte a head, statistic and look, at most LOOKS of them, the
                  first and the last always, and every alert with the looks between which it stood
    importance    what `--importance` measured, as its JSON
    overview      what `--summary` measured, likewise
    explained     maps of `--explain-by`: half floats of the largest value, as long as they fit into half of the room
    claims        what `--assert` claimed, and what was found
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from attncli.maps.claims import Verdict
from attncli.maps.labels import label, visible
from attncli.maps.page.encoding import LEVELS, encode, pack
from attncli.maps.record import AttentionMap, Maps, Weights

LOOKS = 400
"""Looks of a film that a page shows."""
FILMED = ("entropy", "peak", "output", "nearest")
"""Statistics of a film, attncli/training/film.py; each is between 0 and 1."""
SHARES = ("rollout", "flow", "value_zeroing")
"""Methods whose values are shares, so that their scale ends at 1."""


class Explained(Protocol):
    """One map of a method; attncli/analysis/explaining.py."""

    @property
    def method(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def queries(self) -> tuple[str, ...]: ...
    @property
    def keys(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class Further:
    """All that is known beside the maps."""

    film: Sequence[Mapping[str, Any]] = ()
    importance: Mapping[str, Any] | None = None
    overview: Mapping[str, Any] | None = None
    explained: Sequence[tuple[int, Explained]] = ()
    """Each with the number of its sample."""
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By method and address, why there is no map."""
    claims: Sequence[Verdict] = ()

    def scripts(self) -> list[str]:
        """The scripts that show it."""
        there = {
            "film.js": self.film, "importance.js": self.importance, "overview.js": self.overview,
            "explained.js": self.refused or self.explained, "claims.js": self.claims,
        }  # fmt: skip
        return [name for name, known in there.items() if known]

    def data(self) -> dict[str, Any]:
        """All but the maps, for the script."""
        found: dict[str, Any] = {}
        if self.film:
            found["film"] = film(self.film)
        for name, measured in (("importance", self.importance), ("overview", self.overview)):
            if measured is not None:
                found[name] = json.loads(json.dumps(measured), parse_constant=str)
        if self.claims:
            found["claims"] = [
                {"text": visible(one.claim.text), "holds": one.holds, "found": visible(one.found)}
                for one in self.claims
            ]
        return found

    def put(self, maps: Maps, samples: Sequence[dict[str, Any]], room: int) -> tuple[dict[str, dict[str, str]], int]:
        """Put the other maps into the entries; by method and address, why there is none; and the characters used."""
        missing = {method: dict(reasons) for method, reasons in self.refused.items()}
        used = 0
        for place, one in self.explained:
            missing.setdefault(one.method, {})
            pairs = zip(maps.samples[place].attentions, samples[place]["attentions"], strict=True)
            for attention, entry in pairs:
                if attention.address != one.address:
                    continue
                made, why = _laid(one, attention), "the text that was written is read as other tokens"
                if made is not None:
                    coded, why = _encoded(made, one.method), "there was no room for it (--page-budget)"
                    if used + coded["size"] <= room // 2:
                        used += coded.pop("size")
                        entry.setdefault("further", {})[one.method] = coded
                        continue
                missing[one.method][one.address] = why
        return missing, used


def _laid(one: Explained, attention: AttentionMap) -> Weights | None:
    """The values at the places of the weights, 0 for learned keys; None where they are of other tokens."""
    ahead = len(attention.keys) - len(one.keys)
    same = tuple(map(label, one.queries)) == tuple(map(label, attention.queries))
    if not same or ahead < 0 or tuple(map(label, one.keys)) != tuple(map(label, attention.keys[ahead:])):
        return None
    return np.pad(one.values, ((0, 0), (0, 0), (ahead, 0))).astype(np.float32)


def _encoded(values: Weights, method: str) -> dict[str, Any]:
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    coded = asdict(encode(values / np.float32(largest), "float16")) | {"scale": largest}
    rows = coded | {"first": 0, "count": values.shape[1]}
    most = max(1.0, largest) if method in SHARES else largest
    return {"rows": rows, "top": None, "overview": None, "most": most, "size": sum(map(len, coded["heads"]))}


def film(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The looks for the script: `steps`, `places` of heads, `packed` bytes by statistic (look head), `alerts`."""
    last = _heads(lines[-1])
    lines = [line for line in lines if _heads(line) == last]
    alerts = _alerts(lines)
    kept = sorted({round(place * (len(lines) - 1) / (LOOKS - 1)) for place in range(LOOKS)})
    chosen = [lines[place] for place in kept]
    places = [(address, head) for address, heads in last.items() for head in range(heads)]
    rows = {f"{address}:{head}": row for row, (address, head) in enumerate(places)}
    packed = {}
    for name in FILMED:
        values = np.array([[v for one in line["heads"].values() for v in one[name]] for line in chosen], np.float64)
        packed[name] = pack(np.rint(np.clip(values, 0, 1) * LEVELS).astype(np.uint8).tobytes())
    near = [int(np.searchsorted(kept, place)) for place in range(len(lines))]
    told = [
        {"row": rows[place], "sign": visible(sign), "from": near[first], "to": near[until]}
        for (place, sign), first, until in alerts if place in rows
    ]  # fmt: skip
    return {"steps": [line["step"] for line in chosen], "places": [(visible(a), h) for a, h in places],
            "packed": packed, "alerts": told}  # fmt: skip


def _heads(line: Mapping[str, Any]) -> dict[str, int]:
    return {address: len(one["entropy"]) for address, one in line["heads"].items()}


def _alerts(lines: Sequence[Mapping[str, Any]]) -> list[tuple[tuple[str, str], int, int]]:
    """(head, sign), and the looks between which it was an alert."""
    found: list[tuple[tuple[str, str], int, int]] = []
    open_since: dict[str, int] = {}
    for place, line in enumerate([*lines, {"alerts": []}]):
        now = set(line["alerts"])
        for alert in [alert for alert in open_since if alert not in now]:
            head, _, sign = alert.partition(" ")
            found.append(((head, sign), open_since.pop(alert), place - 1))
        for alert in sorted(now - open_since.keys()):
            open_since[alert] = place
    return sorted(found, key=lambda one: one[1])
