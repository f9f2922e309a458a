"""Arrays know the names of their axes and the tokens along them."""

import numpy as np
import pytest

from attncli.maps.named import named
from attncli.maps.statistics import STATISTICS
from tests.maps.made import attention, maps


def test_axes_have_names_and_tokens_and_are_taken_by_name() -> None:
    one = attention(("a", "b"), ("x", "y", "z"), kind="cross", writes=("b", "c"))
    arrays = named(maps(one))["0/encoder.0.attention"]
    weights = arrays["weights"]
    assert weights.axes == ("head", "query", "key")
    assert weights.labels == {"query": ("b", "c"), "key": ("x", "y", "z")}
    row = weights.at(head=1, query=0)
    assert (row.axes, row.labels) == (("key",), {"key": ("x", "y", "z")})
    np.testing.assert_array_equal(np.asarray(row), one.whole()[1, 0])
    assert arrays["top_keys"].axes == ("head", "query", "rank")
    assert set(STATISTICS) < set(arrays)
    with pytest.raises(KeyError, match="there is no axis 'heads'; there are head, query, key"):
        weights.at(heads=0)


def test_every_array_has_as_many_axes_as_names() -> None:
    for array in named(maps())["0/encoder.0.attention"].values():
        assert array.values.ndim == len(array.axes)
