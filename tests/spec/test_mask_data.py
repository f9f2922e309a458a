"""Masks that draw at random, and masks that read what data say of tokens and samples."""

from collections import Counter

import pytest
import torch

from attncli.spec.masks import parse
from attncli.spec.masks.drawn import drawn, drawn_blocks
from tests import catalogue

RANDOM = "random_blocks(count=2, size=3, seed=5)"


def blocks_seen(text: str, *, length: int, head: int = 0, layer: int = 0, size: int = 3) -> list[set[int]]:
    """For each query block the key blocks that it sees, and none in part."""
    rows = list(parse(text).of_layer(layer).rows(length, head=head))
    found = []
    for q in range(0, length, size):
        assert len(set(rows[q : q + size])) == 1, "the queries of a block see alike"
        found.append({k // size for k in range(length) if rows[q] >> k & 1})
        assert rows[q] == sum(1 << k for k in range(length) if k // size in found[-1]), "blocks are seen whole"
    return found


def test_random_blocks_are_as_many_as_asked_and_differ_by_seed_layer_head_and_query_block():
    seen = blocks_seen(RANDOM, length=60)
    assert {len(blocks) for blocks in seen} == {2}
    assert len({frozenset(blocks) for blocks in seen}) > 10
    for other in ({"head": 1}, {"layer": 1}):
        assert blocks_seen(RANDOM, length=60, **other) != seen
    assert blocks_seen(RANDOM.replace("5", "6"), length=60) != seen
    assert blocks_seen(RANDOM, length=60) == seen


def test_fewer_blocks_than_asked_are_all_seen():
    assert parse(RANDOM).visible(6) == 36
    assert parse(RANDOM).visible(2) == 4
    assert parse(RANDOM).visible(9) == 9 * 6


def test_ints_tensors_and_rows_draw_alike():
    mask, n, heads = parse(RANDOM).of_layer(2), 23, 3
    q, k, h = torch.arange(n)[:, None], torch.arange(n), torch.arange(heads)[:, None, None]
    tensors = mask.allows(q, k, h=h, k_length=torch.tensor(n))
    for head in range(heads):
        ints = [[mask.allows(i, j, h=head, k_length=n) for j in range(n)] for i in range(n)]
        assert ints == tensors[head].tolist()
        assert ints == [[bool(row >> j & 1) for j in range(n)] for row in mask.rows(n, head=head)]


def test_every_set_of_blocks_is_as_likely():
    counts = Counter(tuple(sorted(drawn_blocks((number,), count=2, among=5))) for number in range(20_000))
    assert len(counts) == 10
    assert all(abs(count - 2000) < 5 * (2000 * 0.9) ** 0.5 for count in counts.values())


def test_numbers_drawn_are_scattered():
    high = [sum(drawn(seed, place) >> bit & 1 for seed in range(40) for place in range(50)) for bit in range(31)]
    assert all(abs(count - 1000) < 5 * 500**0.5 for count in high)


def test_the_layer_is_part_of_the_mask():
    mask = parse(RANDOM)
    assert mask.of_layer(1) != mask.of_layer(2)
    assert mask.of_layer(1).text == mask.text
    assert parse("causal").of_layer(1) == parse("causal")
    assert mask.names == {"h", "layer", "k_length"}


def natten(rows: int, columns: int, n: int) -> set[tuple[int, int]]:
    """Pairs of cells by Hassani's words: the n nearest along each axis, whole at the borders."""

    def nearest(place: int, length: int) -> range:
        starts = range(max(1, length - n + 1))
        return range(length)[(s := min(starts, key=lambda start: abs(start + n // 2 - place))) : s + n]

    cells = [(row, column) for row in range(rows) for column in range(columns)]
    near = {(r, c): {(i, j) for i in nearest(r, rows) for j in nearest(c, columns)} for r, c in cells}
    return {(q, k) for q, one in enumerate(cells) for k, other in enumerate(cells) if other in near[one]}


@pytest.mark.parametrize(("rows", "columns", "n"), [(5, 7, 3), (4, 4, 5), (2, 6, 3), (6, 5, 5), (1, 4, 3), (3, 3, 1)])
def test_a_neighbourhood_is_the_nearest_cells_moved_inward_at_borders(rows, columns, n):
    mask, length = parse(f"neighbourhood({n})"), rows * columns
    most = {"most row": rows - 1, "most column": columns - 1}

    def allowed(q: int, k: int) -> bool:
        cells = {"row(q)": q // columns, "row(k)": k // columns, "column(q)": q % columns, "column(k)": k % columns}
        return mask.allows(q, k, carried=cells | most)

    assert {(q, k) for q in range(length) for k in range(length) if allowed(q, k)} == natten(rows, columns, n)


def test_what_the_data_decide_is_counted_as_the_most_that_can_be_seen():
    for text in catalogue.DATA_MASKS:
        mask = parse(text)
        assert not mask.positional
        for head in range(2):
            rows = list(mask.rows(9, head=head))
            for sample in range(3):
                for q in range(9):
                    for k in range(9):
                        data = catalogue.carried_by_pair(q, k, 9, sample)
                        if mask.allows(q, k, h=head, k_length=9, document_q=0, document_k=0, carried=data):
                            assert rows[q] >> k & 1, (text, q, k)


@pytest.mark.parametrize("text", ["causal | prefix", "causal | k < prefix_length", "causal & block(4) | prefix & q > 2",
                                  "causal", "window(after=0) | prefix & window(after=3)"])  # fmt: skip
def test_a_prompt_may_be_seen_by_all(text):
    assert parse(text).leaks() is None


@pytest.mark.parametrize(
    ("text", "witness"),
    [
        ("full", (0, 1, 0)),
        ("causal | ~prefix", (0, 1, 0)),
        ("causal | k <= prefix_length", (1, 2, 0)),
        ("causal | q < prefix_length", (0, 1, 0)),
        ("prefix | k < 3", (0, 1, 0)),
    ],
)
def test_what_is_written_may_not(text, witness):
    found = parse(text).leaks()
    assert found is not None
    assert found.k > found.q
    assert found == witness or text != "full"


def test_a_prefix_of_a_known_length_can_be_counted():
    assert parse("causal | prefix").with_prefix(3).visible(6) == 21 + 3
    assert parse("causal | prefix").visible(6) == 36, "any length"
