"""Scenes and batches: what the spec allows, and full rows of ids that the model knows."""

import pytest
import torch

from attncli.errors import InputError
from attncli.nn.model import build_model, token_fields
from attncli.profiling.flops import Scene, predicted
from attncli.profiling.synthetic import USUAL_LENGTH, batch_of, scene_of
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from attncli.streams import IGNORE
from tests.profiling import specs


def read(text, *overrides):
    run = load_text(text, overrides).run
    return run, sizes_of(run, token_fields(run))


def test_lengths_and_rows_are_those_of_a_training_step():
    run, _ = read(specs.transformer(), "model.max_length=500", "train.batch.size=5000")
    assert scene_of(run, batch=None, length=None, phase="train") == Scene(
        5000 // (2 * USUAL_LENGTH), {"encoder": USUAL_LENGTH, "decoder": USUAL_LENGTH}, "train"
    )
    assert scene_of(run, batch=3, length=200, phase="forward").lengths == {"encoder": 200, "decoder": 200}
    assert scene_of(run, batch=None, length=None, phase="decode").batch == 1
    run, _ = read(specs.transformer(), "train.batch={kind: sequences, size: 60, accumulate: 4}")
    assert scene_of(run, batch=None, length=None, phase="train") == Scene(15, {"encoder": 11, "decoder": 11}, "train")


def test_a_length_beyond_the_model_is_refused():
    run, _ = read(specs.transformer())
    with pytest.raises(InputError) as refused:
        scene_of(run, batch=None, length=12, phase="train")
    assert str(refused.value) == (
        "--length 12: encoder has max_length 11\nhelp: write at most 11, or -o model.encoder.max_length=12"
    )


def test_what_writes_nothing_cannot_decode():
    run, _ = read(specs.POOLED["mean"])
    with pytest.raises(InputError) as refused:
        scene_of(run, batch=None, length=None, phase="decode")
    assert str(refused.value) == (
        "--phase decode: the task classification writes no tokens\nhelp: profile --phase forward or train"
    )


@pytest.mark.parametrize("name", specs.ALL)
def test_a_batch_fills_every_place_and_has_a_loss(name):
    run, sizes = read(specs.ALL[name])
    scene = Scene(3, dict(zip(run.model.stacks, (7, 5), strict=False)))
    batch = batch_of(run, sizes, scene)
    for stack_name, stack in run.model.stacks.items():
        stream = batch[stack.input.field]
        assert stream.values.shape == (3, scene.lengths[stack_name])
        assert not stream.padded
        assert 0 < int(stream.values.max()) < sizes.vocabularies[stack.input.field]
    losses = build_model(run, sizes).losses(batch)
    places = batch["labels"].values
    assert losses.count == (places != IGNORE).sum()
    if name == "masked":
        assert losses.count == predicted(run, places.numel()) == round(0.15 * places.numel())


def test_a_batch_is_a_function_of_its_seed():
    run, sizes = read(specs.transformer())
    scene = Scene(2, {"encoder": 4, "decoder": 4})
    one, same, other = (batch_of(run, sizes, scene, seed=seed)["source"].values for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
