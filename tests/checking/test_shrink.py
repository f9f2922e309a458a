"""A small spec keeps every choice."""

from pathlib import Path

import pytest

from attncli.checking.certificate import certify, small_of
from attncli.checking.shrink import shrunk, smaller_mask
from attncli.spec.load import load_spec, load_text

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("**/*.yaml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_has_a_small_one_of_the_same_kinds(path: Path) -> None:
    whole = load_spec(path)
    small = small_of(whole)
    assert small.run.task.kind == whole.run.task.kind
    assert [type(one) for one in small.run.model.stacks.values()] == [type(o) for o in whole.run.model.stacks.values()]
    assert certify(small, laws=(), full=True).parameters < 4_000_000
    for one, other in zip(small.run.model.stacks.values(), whole.run.model.stacks.values(), strict=True):
        if hasattr(one, "layers") and not isinstance(one.layers, int):
            first, second = one.layers[0].attention, other.layers[0].attention
            assert (first.heads, first.kv_heads) == (second.heads, second.kv_heads)
            assert type(first.score) is type(second.score)
            assert type(first.position) is type(second.position)


@pytest.mark.parametrize(
    ("mask", "small"),
    [
        ("causal", "causal"),
        ("causal & window(before=3)", "causal & window(before=3)"),
        ("causal & window(before=4095)", "causal & window(before=12)"),
        ("causal & (window(before=127) | first(4))", "causal & (window(before=12) | first(3))"),
        ("q // 64 == k // 64", "q // 12 == k // 12"),
        ("causal & window(before=by_head(31, 31, 127, 511))", "causal & window(before=by_head(3, 3, 3, 12))"),
    ],
)
def test_a_mask_keeps_its_shape(mask: str, small: str) -> None:
    assert smaller_mask(mask) == small


def test_what_divides_still_divides() -> None:
    text = "name: x\ntask: language_model\nmodel: {decoder: "
    text += "{d_model: 768, layers: 12, attention: {heads: 12, kv_heads: 4}}}"
    run = load_text(str(_yaml(shrunk(load_text(text).plain())))).run
    stack = run.model.stacks["decoder"]
    assert (stack.d_model % 12, stack.layers[0].attention.kv_heads, stack.depth) == (0, 4, 2)
    assert stack.d_model < 768


def _yaml(value: object) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False)
