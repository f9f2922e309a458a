"""Laws of attention, torch's own multi-head attention, and the worked example of the founding article."""

import random

import pytest
import torch

from attncli.reference.attention import Projections, mix, multi_head, one_head
from attncli.reference.normalizers import plain_sum, softmax
from attncli.reference.scores import dot_product, scaled_dot
from attncli.reference.vectors import product

X = [[1, 0, 2], [3, 2, 1], [1, 3, 4], [2, 1, 0], [4, 2, 3]]
H = [[1, 0, 3], [2, 1, 2], [3, 2, 1], [0, 4, 5], [5, 3, 2]]
M = [[1, 2, 3], [0, 1, 4], [3, 4, 5]]


def matrix(rows: int, columns: int, seed: int) -> list[list[float]]:
    draw = random.Random(seed)
    return [[draw.gauss(0, 1) for _ in range(columns)] for _ in range(rows)]


def rounded(row):
    return [round(each, 4) for each in row]


def test_the_articles_product_in_right_numbers():
    assert product(X, M) == [[7, 10, 13], [6, 12, 22], [13, 21, 35], [2, 5, 10], [13, 22, 35]]


def test_the_articles_softmax_of_the_product_in_right_numbers():
    assert rounded(softmax([each / 3**0.5 for each in product(X, M)[0]])) == [0.0259, 0.1464, 0.8277]


@pytest.mark.parametrize(
    ("scale", "weights", "context"),
    [
        (3**-0.5, [0.0153, 0.0086, 0.4877, 0.0009, 0.4877], [2.4810, 2.4563, 3.4527]),
        (1 / 3, [0.0599, 0.0429, 0.4429, 0.0113, 0.4429], [2.4259, 2.3117, 3.2631]),
    ],
)
def test_the_articles_dot_product_attention_in_right_numbers(scale, weights, context):
    first = one_head(H, X, score=lambda query: scaled_dot(query, X, scale=scale))[0]
    assert (rounded(first.weights), rounded(first.context)) == (weights, context)


def test_the_articles_plain_normalization_in_right_numbers():
    first = one_head(H, X, score=lambda query: dot_product(query, X), normalizer=plain_sum)[0]
    assert rounded(first.weights) == [0.1707, 0.1463, 0.3171, 0.0488, 0.3171]
    assert rounded(first.context) == [2.2927, 1.9268, 2.7073]


def test_a_hidden_key_has_no_weight_and_the_rest_is_as_if_it_were_not_there():
    scores, values = [0.3, 5.0, -1.0], [[1.0, 0.0], [9.0, 9.0], [0.0, 1.0]]
    seen, alone = mix(scores, values, visible=[True, False, True]), mix([0.3, -1.0], [values[0], values[2]])
    assert seen.weights == [alone.weights[0], 0, alone.weights[1]]
    assert seen.context == pytest.approx(alone.context)


def test_a_row_that_sees_nothing_gives_zeros():
    assert mix([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]], visible=[False, False]) == ([0, 0], [0, 0])


def test_equal_scores_give_the_mean_of_the_values():
    assert mix([2.0, 2.0], [[1.0, 4.0], [3.0, 8.0]]).context == pytest.approx([2, 6])


def test_a_later_token_never_moves_an_earlier_row_under_a_causal_mask():
    other = [*X[:4], [-7, 7, 7]]
    before, after = (
        one_head(x, x, score=lambda query, x=x: scaled_dot(query, x), visible=lambda q, k: k <= q) for x in (X, other)
    )
    assert before[:4] == after[:4]
    assert before[4] != after[4]


def test_a_bias_is_added_to_the_scores():
    rows = one_head([[0.0]], [[1.0], [5.0]], score=lambda query: [0.0, 0.0], bias=lambda q, k: -1000.0 * k)
    assert rows[0].weights == [1, 0]


@pytest.mark.parametrize("biased", [True, False])
def test_multi_head_is_torchs(biased):
    heads, width = 2, 6
    theirs = torch.nn.MultiheadAttention(width, heads, bias=biased, batch_first=True, dtype=torch.float64)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_()
    weights = [part.tolist() for part in theirs.in_proj_weight.detach().chunk(3)]
    biases = [part.tolist() for part in theirs.in_proj_bias.detach().chunk(3)] if biased else [None] * 3
    output_bias = theirs.out_proj.bias.tolist() if biased else None
    maps = Projections(*weights, theirs.out_proj.weight.tolist(), *biases, output_bias)
    x, memory = matrix(3, width, seed=1), matrix(5, width, seed=2)
    ours = multi_head(
        x,
        memory,
        maps,
        heads=heads,
        kv_heads=heads,
        score=lambda head, query, keys, values: scaled_dot(query, keys),
        visible=lambda q, k, h: (q + k + h) % 3 > 0,
    )
    hidden = [[[(q + k + h) % 3 == 0 for k in range(5)] for q in range(3)] for h in range(heads)]
    output, maps_of_heads = theirs(
        torch.tensor([x], dtype=torch.float64),
        *[torch.tensor([memory], dtype=torch.float64)] * 2,
        attn_mask=torch.tensor(hidden),
        average_attn_weights=False,
    )
    torch.testing.assert_close(torch.tensor(ours.output, dtype=torch.float64), output[0])
    found = torch.tensor([[row.weights for row in rows] for rows in ours.rows], dtype=torch.float64)
    torch.testing.assert_close(found, maps_of_heads[0])


def test_grouped_heads_read_the_key_and_value_head_of_their_group():
    x = matrix(3, 4, seed=3)
    query, key, value, output = matrix(8, 4, seed=4), matrix(4, 4, seed=5), matrix(4, 4, seed=6), matrix(4, 8, seed=7)

    def doubled(weight):
        """Each kv head of two features written twice: what the two query heads of its group read."""
        return [row for head in (weight[:2], weight[2:]) for row in (*head, *head)]

    def run(maps, kv_heads):
        return multi_head(x, x, maps, heads=4, kv_heads=kv_heads, score=lambda h, q, k, v: scaled_dot(q, k)).output

    grouped = run(Projections(query, key, value, output), 2)
    assert grouped == run(Projections(query, doubled(key), doubled(value), output), 4)


def test_turning_by_the_position_changes_what_is_seen_but_not_the_values():
    x = matrix(3, 2, seed=8)
    unit = [[1.0, 0.0], [0.0, 1.0]]
    maps = Projections(unit, unit, unit, unit)
    turned = multi_head(
        x,
        x,
        maps,
        heads=1,
        kv_heads=1,
        score=lambda h, q, k, v: dot_product(q, k),
        turn=lambda v, n, side, head: [v[0] + n, v[1]],
    )
    expected = one_head(
        [[row[0] + n, row[1]] for n, row in enumerate(x)],
        x,
        score=lambda query: dot_product(query, [[row[0] + n, row[1]] for n, row in enumerate(x)]),
    )
    assert turned.rows[0] == expected
