"""A sample of the pair matrix that covers every option; `make matrix` tries them all."""

import pytest

from tests.matrix.options import Option, laid, pairs, sample
from tests.matrix.pairs import Family, alone, spec_of, tried
from tests.matrix.rules import RULES, rule_of

FAMILIES: tuple[Family, ...] = ("transformer", "recurrent")
OPTIONS = {family: alone(family) for family in FAMILIES}
SEED = 7
PAIRS = [(family, *pair) for family in FAMILIES for pair in sample(OPTIONS[family], SEED)]


@pytest.mark.parametrize(("family", "one", "other"), PAIRS, ids=[f"{one.name} + {o.name}" for _, one, o in PAIRS])
def test_a_pair_is_refused_by_a_named_rule_or_obeys_every_law(family: Family, one: Option, other: Option) -> None:
    result = tried(family, one, other)
    assert result.outcome in ("passed", "refused"), result.why


FOUND = (
    ("attention.persistent=number", "attention.position=disentangled"),
    ("attention.persistent=number", "attention.position=transformer_xl"),
    ("attention.persistent=number", "attention=differential"),
    ("attention.short_convolution=number", "attention.value_residual=first"),
    ("attention.position=transformer_xl", "attention.normalizer=queries"),
    ("stack.norm=scale_norm", "feedforward.norm_place=post"),
    ("attention.short_convolution=number", "attention=differential"),
    ("attention.v_norm=scale_norm", "attention.context_norm=scale_norm"),
    ("attention.output=attention_on_attention", "attention=differential"),
    ("attention.score=synthesizer", "attention.normalizer=queries"),
    ("attention.normalizer=sum", "stack.norm=scale_norm"),
    ("stack.norm=dyt", "feedforward.norm_place=post"),
)
"""Pairs that the whole matrix found wrong, in the model or in its oracle."""


@pytest.mark.parametrize("names", FOUND, ids=" + ".join)
def test_a_pair_that_was_wrong_is_right(names: tuple[str, str]) -> None:
    named = {option.name: option for option in OPTIONS["transformer"]}
    result = tried("transformer", *(named[name] for name in names))
    assert result.outcome == "passed", result.why


def test_the_sample_covers_every_option() -> None:
    for family in FAMILIES:
        names = {option.name for of, *pair in PAIRS if of == family for option in pair}
        assert names == {option.name for option in OPTIONS[family]}


def test_there_are_a_hundred_options_and_nearly_all_stand_alone() -> None:
    from tests.matrix.pairs import OPTIONS as DRAWN

    kinds = sum(not option.detail for options in OPTIONS.values() for option in options)
    assert kinds >= 100
    served = {_bare(option) for options in OPTIONS.values() for option in options}
    drawn = {_bare(option): (family, option) for family, draw in DRAWN.items() for option in draw()}
    assert len(served) >= 0.9 * len(drawn), sorted(drawn.keys() - served)
    for name in drawn.keys() - served:
        result = tried(*drawn[name])
        assert result.outcome == "refused", (name, result.why)


def _bare(option: Option) -> str:
    """The option's name without the place at which it is written."""
    return option.name.removeprefix("cross.").removeprefix("attention.")


def test_pairs_are_of_two_keys() -> None:
    found = pairs(OPTIONS["recurrent"], SEED)
    assert all(one.key != other.key for one, other in found)
    assert {option.name for pair in found for option in pair} == {option.name for option in OPTIONS["recurrent"]}


def test_a_refusal_without_a_rule_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Option("heads of two widths", "x", {"attention": {"heads": 4, "kv_heads": 3}})
    assert tried("transformer", odd).outcome == "refused"
    assert tried("transformer", odd).why == "grouping"
    monkeypatch.delitem(RULES, "grouping")
    assert tried("transformer", odd).outcome == "wrong"
    assert "refused without a named rule" in tried("transformer", odd).why
    assert rule_of("spec.yaml:1:1: this is not supported") is None


def test_mappings_are_laid_over_each_other() -> None:
    assert laid({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}
    assert laid({"a": {"kind": "x", "c": 2}}, {"a": {"kind": "y"}}) == {"a": {"kind": "y"}}
    assert "attention" in spec_of("transformer")
