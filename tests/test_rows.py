"""The table of what can be said: every row loads, builds and is held by a test that is there."""

from pathlib import Path

import pytest

from attncli.nn.model import build_model, token_fields
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from tests.rows import GROUPS, ROWS, Row, spec_of, table

ROOT = Path(__file__).parents[1]
SERVED = [row for row in ROWS if row.spec is not None]


@pytest.mark.parametrize("row", SERVED, ids=lambda row: row.name)
def test_a_row_that_is_served_loads_and_builds(row: Row) -> None:
    run = load_text(spec_of(row)).run
    model = build_model(run, sizes_of(run, token_fields(run)), "meta")
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
    assert (ROOT / row.test).exists()


def test_a_row_that_is_not_served_says_why() -> None:
    assert all(row.why for row in ROWS if row.spec is None)
    assert {row.group for row in ROWS} == set(GROUPS)
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_document_is_the_table() -> None:
    assert (ROOT / "docs/coverage.md").read_text(encoding="utf-8") == table()
