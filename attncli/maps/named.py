"""Maps as arrays whose axes have names: what a script or a notebook works with.

>>> from attncli import load_run
>>> maps = load_run("runs/dates").maps(["de Sunday, November 22, 2026"])
>>> arrays = named(maps)["0/decoder.0.cross_attention"]
>>> arrays["weights"].axes
('head', 'query', 'key')
>>> arrays["weights"].at(head=0).values.sum(-1)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attncli.maps.formats import parts
from attncli.maps.record import AttentionMap, Maps

AXES = {
    "weights": ("head", "query", "key"),
    "overview_largest": ("head", "query cell", "key cell"),
    "overview_mean": ("head", "query cell", "key cell"),
    "top_keys": ("head", "query", "rank"),
    "top_weights": ("head", "query", "rank"),
    "received": ("head", "key"),
    "near": ("head", "offset"),
}


@dataclass(frozen=True)
class Named:
    """An array, the names of its axes, and for those that have tokens their labels."""

    values: NDArray[Any]
    axes: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The values, for NumPy."""
        return np.array(self.values, dtype=dtype, copy=copy)

    def at(self, **places: int) -> "Named":
        """Without the axes named, at these places of them. Errors: KeyError for an axis that is not there."""
        for axis in places:
            if axis not in self.axes:
                raise KeyError(f"there is no axis '{axis}'; there are {', '.join(self.axes)}")
        index = tuple(places.get(axis, slice(None)) for axis in self.axes)
        left = tuple(axis for axis in self.axes if axis not in places)
        return Named(self.values[index], left, {name: each for name, each in self.labels.items() if name in left})


def named(maps: Maps) -> dict[str, dict[str, Named]]:
    """The arrays of each map by the name of the map, `0/decoder.1.cross_attention`: its weights, where they were kept
    whole, the parts of its summary (attncli/maps/summary.py), and each statistic."""
    return {name: arrays_of(attention) for name, _, attention in maps.items()}


def arrays_of(attention: AttentionMap) -> dict[str, Named]:
    """The arrays of one map."""
    labels = {"query": attention.rows, "key": attention.keys}
    found: dict[str, NDArray[Any]] = {} if attention.weights is None else {"weights": attention.weights}
    arrays = found | parts(attention)
    made = {name: _named(values, AXES[name], labels) for name, values in arrays.items()}
    return made | {name: _named(each, ("head",), {}) for name, each in attention.summary.statistics.items()}


def _named(values: NDArray[Any], axes: tuple[str, ...], labels: Mapping[str, tuple[str, ...]]) -> Named:
    return Named(values, axes, {name: each for name, each in labels.items() if name in axes})
