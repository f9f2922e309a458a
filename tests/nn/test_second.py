"""Rows with projections of their own: two attentions, of which each row has one."""

import copy

import pytest
import torch
import yaml

from attncli.checking.certificate import judged
from attncli.checking.laws import LAWS
from attncli.checking.subject import subject_of
from attncli.errors import SpecError
from attncli.nn.second import TwiceProjected
from attncli.nn.view import Record, view_of_self
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import build, packed, read, run_of, tiny
from tests.nn.oracle import outputs

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
seconds = pytest.mark.parametrize("name", catalogue.SECOND)


def spec(name: str) -> str:
    model = {"d_model": 12, "max_length": 32, "bias": True, "tie_embeddings": "none", "feedforward": {"d_ff": 10}}
    attention = {"heads": 4, "position": "none"} | read(catalogue.SECOND[name])
    model |= {"encoder": {"layers": 1, "attention": dict(attention)}, "decoder": {"layers": 1, "attention": attention}}
    return tiny(yaml.safe_dump(model, default_flow_style=True, width=10_000, sort_keys=False).strip())


def attention(name: str, *overrides: str) -> TwiceProjected:
    found = next(each for each in build(spec(name), *overrides).attentions().values() if each.address.count(".") == 2)
    assert isinstance(found, TwiceProjected)
    return found


@seconds
def test_each_row_is_that_of_its_own_projections(name):
    """As the reference tells two attentions with the maps of each."""
    module = attention(name)
    x = torch.randn(1, 5, 12, dtype=torch.float64)
    with torch.no_grad():
        found = module(x, x, view_of_self(stream([[1] * 5], pad=0)))[0]
    base = copy.deepcopy(module)

    def visible(q: int, k: int, h: int) -> bool:
        return k <= q if name == "forgetting" else True

    for second in (False, True):
        for each in ("query", "key", "value"):
            setattr(base, each, getattr(module.second if second else module, each))
        expected = outputs(base, x[0], x[0], visible).output
        rows = [q for q in range(5) if bool(module.rows.allows(q, 0)) == second]
        torch.testing.assert_close(found[rows], torch.tensor(expected, dtype=torch.float64)[rows], **CLOSE)


@seconds
def test_every_law_holds(name):
    subject = subject_of(run_of(spec(name)))
    verdicts = [judged(law, subject) for law in LAWS]
    assert [(verdict.law, verdict.witness) for verdict in verdicts if not verdict.holds] == []


@pytest.mark.parametrize("rows", ["right", "left", "packed"])
def test_a_map_is_shown_for_either_projections_and_rows_of_the_other_are_empty(rows):
    module = attention("one row")
    tokens = stream([[1] * 5, [1] * 3], pad=0, left=rows == "left")
    if rows == "packed":
        tokens = packed(((0, 1), (1,)), ([1] * 3, [1] * 4))
    records: list[Record] = []
    x = torch.randn(*tokens.values.shape, 12, dtype=torch.float64)
    shown, plain = module(x, x, view_of_self(tokens, records.append)), module(x, x, view_of_self(tokens))
    torch.testing.assert_close(shown[tokens.real], plain[tokens.real], **CLOSE)
    assert [record.address for record in records] == [module.address, f"{module.address}.second"]
    first, second = (record.attention.weights(record).sum(-1) for record in records)
    at = tokens.positions[:, None].expand_as(first)
    real = tokens.real[:, None].expand_as(first)
    torch.testing.assert_close(first[real], (at != 2).to(first)[real])
    torch.testing.assert_close(second[real], (at == 2).to(first)[real])


def test_no_other_row_is_computed_by_the_second_projections(monkeypatch):
    module, asked = attention("one row"), []
    whole = type(module.second.query).forward
    monkeypatch.setattr(
        type(module.second.query), "forward",
        lambda own, x: (asked.append(x.shape[1]) if own is module.second.query else None, whole(own, x))[1],
    )  # fmt: skip
    x = torch.randn(2, 6, 12, dtype=torch.float64)
    module(x, x, view_of_self(stream([[1] * 6] * 2, pad=0)))
    assert asked == [1]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("second_projections=k < 1", "chosen by its place q, and 'k' is another thing"),
        ("second_projections=global(1)", "chosen by its place q, and 'global"),
        ("second_projections=q < q_length", "'q_length' is another thing"),
        ("second_projections=q >= 0", "every row is chosen"),
        ("second_projections=q < 0", "no row of 32 is chosen"),
        ("persistent=2", "a persistent key is one of the first maps"),
        ("selective=first_head", "tokens mark earlier ones by scores of one pair"),
        ("short_convolution=3", "mixes a row with those beside it"),
        ("select={kind: indexer, keys: 2}", "an indexer learns from the weights of one pair"),
        ("projections=none", "none that a row could have of its own"),
    ],
)
def test_what_second_projections_cannot_be_is_refused(override, says):
    with pytest.raises(SpecError, match=says):
        run_of(spec("one row"), f"model.decoder.attention.{override}")


def test_a_cross_attention_does_not_start_from_them_and_has_none():
    run = run_of(spec("one row"))
    assert run.model.stacks["decoder"].layers[0].cross_attention.second_projections is None
    with pytest.raises(SpecError, match="read their own text otherwise"):
        run_of(spec("one row"), "model.decoder.cross_attention.second_projections=q < 1")
