"""Random specs from the shapes of the language: each loads whole or is refused in words, and every good one builds."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from attncli.errors import SpecError
from attncli.nn.model import build_model, token_fields
from attncli.spec.load import Loaded, load_spec, load_text
from attncli.spec.nodes import Source, plain
from attncli.spec.reader import lines_of, read_mapping
from attncli.spec.schema import json_schema
from attncli.spec.shapes import unions
from attncli.spec.sizes import sizes_of
from tests.spec import schemas, writings

SEEDS = range(1200)


def text_of(seed: int) -> str:
    return yaml.safe_dump(writings.spec(seed), sort_keys=False)


def read(text: str) -> Any:
    """The values as attncli reads them: the yaml of Python takes 1e-06 for a text."""
    return plain(read_mapping(text, Source("s.yaml", lines_of(text), Path()), []))


@cache
def loaded() -> dict[int, Loaded]:
    """The specs that load; anything but a SpecError is a bug."""
    return {seed: spec for seed in SEEDS if isinstance(spec := outcome(text_of(seed)), Loaded)}


def outcome(text: str) -> Loaded | SpecError:
    try:
        return load_text(text)
    except SpecError as error:
        return error


def test_many_are_valid_and_many_are_not():
    assert 100 < len(loaded()) < len(SEEDS) * 5 // 6


def test_a_refusal_has_a_place_and_a_reason():
    for seed in SEEDS:
        if isinstance(error := outcome(text_of(seed)), SpecError):
            assert str(error).startswith("spec.yaml:"), seed
            assert "has no default here" not in str(error), seed


def test_together_with_the_published_models_they_use_most_kinds_of_the_language():
    papers = [load_spec(path) for path in sorted((Path(__file__).parents[2] / "specs" / "papers").glob("*.yaml"))]
    kinds = {kind for part in unions().values() for kind in part} - {"files", "hub", "generated", "none"}
    used = {word for spec in (*loaded().values(), *papers) for word in re.findall(r"\w+", spec.resolved())}
    assert len(kinds & used) > 2 / 3 * len(kinds), kinds - used  # the catalogue has every one of them


def test_the_resolved_text_loads_to_the_same_spec():
    for seed, spec in loaded().items():
        again = load_text(spec.resolved())
        assert again.run == spec.run, seed
        assert again.resolved() == spec.resolved(), seed


def test_the_explained_text_loads_to_the_same_spec():
    for seed, spec in list(loaded().items())[:100]:
        assert load_text(spec.explained()).run == spec.run, seed


def test_each_builds_without_data_and_without_memory():
    for seed, spec in loaded().items():
        model = build_model(spec.run, sizes_of(spec.run, token_fields(spec.run)), "meta")
        assert all(parameter.is_meta and parameter.numel() for parameter in model.parameters()), seed


def test_what_loads_is_valid_by_the_schema():
    schema = json_schema()
    for seed, spec in loaded().items():
        assert schemas.faults(writings.spec(seed), schema) == [], seed
        assert schemas.faults(read(spec.resolved()), schema) == [], seed


def test_a_spec_is_the_same_for_the_same_seed():
    assert text_of(3) == text_of(3)
    assert len({text_of(seed) for seed in SEEDS}) > 550


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_flag_says_the_same_as_the_file(seed):
    """`-o key=value` with every section of a spec is that spec."""
    written = writings.spec(list(loaded())[seed])
    head = "name: other\ntask: tagging\nmodel: {encoder: {}}\n"
    flags = [f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10**6)}" for key, value in written.items()]
    bare = load_text(head, [*flags, "model.encoder=none"] if "encoder" not in written["model"] else flags)
    assert bare.run == load_text(text_of(list(loaded())[seed])).run
