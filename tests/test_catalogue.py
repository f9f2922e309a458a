"""The catalogue names every kind of the language, so that no kind escapes the laws."""

from typing import Any, get_args

import pytest
import yaml

from attncli.spec import (
    attention,
    inputs,
    model,
    normalizers,
    norms,
    positions,
    recurrent,
    residuals,
    scores,
    spans,
    stacks,
    steps,
    tasks,
)
from attncli.spec.base import kind_of
from attncli.spec.masks import parse
from attncli.spec.masks.predicates import PREDICATES
from tests import catalogue

UNIONS = {
    "scores": (scores.Score, catalogue.SCORES | catalogue.SEQUENTIAL_SCORES),
    "normalizers": (normalizers.Normalizer, catalogue.NORMALIZERS | catalogue.SEQUENTIAL_NORMALIZERS),
    "positions": (positions.Relative, catalogue.POSITIONS),
    "scalings": (positions.Scaling, catalogue.SCALINGS),
    "spans": (spans.Span, catalogue.SPANS | {"none": "none", "adaptive": "adaptive"}),  # a line of STEPS
    "selects": (steps.Select, {name: str(yaml.safe_load(line)["select"]) for name, line in catalogue.SELECTS.items()}),
    "absolute positions": (positions.Absolute, catalogue.ABSOLUTE),
    "feedforwards": (stacks.Feedforward, catalogue.FEEDFORWARDS),
    "residuals": (residuals.Residual, catalogue.RESIDUALS),
    "norms": (norms.Norm, catalogue.NORMS),
    "inits": (model.Init, catalogue.INITS),
    "poolings": (tasks.Pooling, catalogue.POOLINGS),
    "cells": (recurrent.Cell, catalogue.CELLS),
    "directions": (recurrent.Direction, catalogue.DIRECTIONS),
    "bridges": (recurrent.Bridge, catalogue.BRIDGES),
}


def members(union: Any) -> tuple[type, ...]:
    """The classes of `Annotated[A | B, …]`."""
    return get_args(get_args(union)[0]) or (get_args(union)[0],)


def kind_in(name: str, text: str | None) -> str:
    """The kind that a line writes."""
    written = yaml.safe_load(text or name)
    return written["kind"] if isinstance(written, dict) else written


@pytest.mark.parametrize(("union", "lines"), UNIONS.values(), ids=UNIONS.keys())
def test_every_kind_has_a_line(union, lines):
    assert {kind_in(name, text) for name, text in lines.items()} == {kind_of(member) for member in members(union)}


def test_the_norm_stands_in_every_place():
    assert get_args(norms.NormPlace) == catalogue.PLACES


@pytest.mark.parametrize("field", ["query", "input_feeding", "readout"])
def test_the_writers_take_every_way(field):
    written = [yaml.safe_load(text)[field] for text in (catalogue.WRITERS | catalogue.LONG_WRITERS).values()]
    kinds = {each["kind"] if isinstance(each, dict) else each for each in written}
    annotation = recurrent.Recurrent.model_fields[field].annotation
    words = set(get_args(annotation))
    assert kinds == ({kind_of(member) for member in words} if field != "query" else words)


def test_the_masks_use_every_predicate_and_are_all_different():
    used = {word for mask in (*catalogue.MASKS, *catalogue.DATA_MASKS) for word in PREDICATES if word in mask}
    assert used == set(PREDICATES)
    assert len({parse(mask) for mask in catalogue.MASKS}) == len(catalogue.MASKS)
    causal = [mask for mask in catalogue.MASKS if parse(mask).causal() is None]
    assert len(causal) > 5
    assert len(catalogue.MASKS) - len(causal) > 5


def test_every_kind_of_attention_has_a_line_and_there_is_one_of_input():
    kinds = {kind_of(member) for member in members(attention.Attention)}
    lines = catalogue.KINDS | catalogue.LATENTS | catalogue.RUNNING
    assert kinds == {"multi_head", *(kind_in(name, text) for name, text in lines.items())}
    assert [kind_of(member) for member in members(inputs.Input)] == ["tokens"]
