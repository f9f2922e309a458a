"""Parameters by part: all of them, each once, under the address that a spec would use."""

import pytest
import torch

from attncli.nn.attention import Attention
from attncli.nn.model import build_model, token_fields
from attncli.profiling.count import address_of, parts_of, total
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from tests.profiling import specs


def built(text, device="meta"):
    run = load_text(text).run
    return build_model(run, sizes_of(run, token_fields(run)), device)


@pytest.mark.parametrize("name", specs.ALL)
def test_every_parameter_belongs_to_one_part(name):
    model = built(specs.ALL[name])
    parts = parts_of(model)
    assert total(parts) == sum(p.numel() for p in model.parameters())
    assert sum(part.bytes for part in parts) == 4 * total(parts)
    assert sum(len(part.tensors) for part in parts) == len(list(model.parameters()))
    assert len({part.address for part in parts}) == len(parts)


def test_shared_parameters_are_counted_where_they_are_first():
    """One embedding serves the source, the target and the output map: 261 bytes and marks, 24 wide."""
    parts = {part.address: part for part in parts_of(built(specs.transformer()))}
    assert parts["encoder.input"].tensors == {"embedding.weight": (261, 24)}
    assert parts["decoder.input"].parameters == parts["head"].parameters == 0
    assert parts["decoder.input"].shared == {"embedding.weight": "encoder.input"}
    assert parts["head"].shared == {"output.weight": "encoder.input"}


def test_a_table_of_the_stack_is_counted_in_its_first_layer():
    parts = {part.address: part for part in parts_of(built(specs.transformer("heads: 4, position: t5")))}
    first, second = (parts[f"encoder.{i}.attention"] for i in (0, 1))
    assert set(first.shared) == set()
    assert set(second.shared.values()) == {"encoder.0.attention"}
    assert first.parameters - second.parameters == 32 * 4  # buckets by heads


def test_addresses_of_every_attention_are_parts():
    """Second projections belong to the attention whose rows they serve."""
    for text in specs.ALL.values():
        model = built(text)
        parts = {part.address for part in parts_of(model)}
        assert {address.removesuffix(".second") for address in model.attentions()} <= parts
        for name, module in model.named_modules():
            if isinstance(module, Attention):
                assert module.address in (address_of(name), f"{address_of(name)}.second")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("encoder.layers.0.attention.body.query.weight", "encoder.0.attention"),
        ("decoder.layers.11.cross_attention.norm.weight", "decoder.11.cross_attention"),
        ("encoder.input.embedding.weight", "encoder.input"),
        ("decoder.attention.score.weight", "decoder.cross_attention"),
        ("decoder.rnn.weight_ih_l0", "decoder.rnn"),
        ("encoder.final_norm.weight", "encoder.final_norm"),
        ("head.output.weight", "head"),
        ("head.pooling.queries", "head"),
        ("head.pooling.attention.key.weight", "head.attention"),
    ],
)
def test_address(name, address):
    assert address_of(name) == address


def test_nothing_is_allocated_on_the_meta_device():
    assert {p.device for p in built(specs.transformer()).parameters()} == {torch.device("meta")}
