"""Time by part: the parts add up to the whole, and the model is untouched afterwards."""

import time

import pytest
import torch

from attncli.nn.model import build_model, token_fields
from attncli.profiling.clock import OUTSIDE, Stopwatch, measure, spread_of, time_parts
from attncli.profiling.flops import Scene
from attncli.profiling.spans import Outcome, spanned
from attncli.profiling.synthetic import batch_of
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from tests.profiling import specs

CPU = torch.device("cpu")


def ready(text):
    run = load_text(text).run
    sizes = sizes_of(run, token_fields(run))
    return build_model(run, sizes).train(), batch_of(run, sizes, Scene(2, dict.fromkeys(run.model.stacks, 6)))


def test_a_stopwatch_gives_every_moment_to_one_address():
    watch = Stopwatch(CPU)
    began = time.perf_counter()
    watch.turn("a")
    time.sleep(0.02)
    assert watch.turn("b") == "a"
    time.sleep(0.01)
    watch.turn("a")
    watch.stop()
    whole = time.perf_counter() - began
    assert watch.seconds["a"] >= 0.02
    assert watch.seconds["b"] >= 0.01
    assert sum(watch.seconds.values()) == pytest.approx(whole, abs=0.005)


@pytest.mark.parametrize("name", ["plain", "bahdanau", "article", "attention", "masked", "two_tasks"])
def test_parts_of_a_step_with_its_backward_pass(name):
    model, batch = ready(specs.ALL[name])
    wholes = []

    def step(backward_done):
        began = time.perf_counter()
        model.losses(batch).loss.backward()
        backward_done()
        wholes.append(time.perf_counter() - began)

    times = time_parts(model, step, CPU, seconds=0, least=5)
    from attncli.profiling.count import parts_of

    assert set(times) == {part.address for part in parts_of(model)} | {OUTSIDE}
    for address, part in times.items():
        assert part.forward > 0
        assert part.backward > 0 or address == OUTSIDE
    assert 0.3 * min(wholes) < sum(map(sum, times.values())) < 2 * max(wholes)


def test_a_slow_part_is_found_forward_and_backward():
    model, batch = ready(specs.ALL["plain"])

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            time.sleep(0.03)
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            time.sleep(0.04)
            return gradient

    gate = model.encoder.layers[1].feedforward.body.gate
    fast = gate.activation
    gate.activation = lambda x: Slow.apply(fast(x))

    def step(backward_done):
        model.losses(batch).loss.backward()
        backward_done()
        time.sleep(0.005)

    times = time_parts(model, step, CPU, seconds=0, least=3)
    slow = times["encoder.1.feedforward"]
    assert max(times, key=lambda address: times[address].forward) == "encoder.1.feedforward"
    assert slow.forward >= 0.03
    assert slow.backward >= 0.04
    assert times[OUTSIDE].forward >= 0.005
    assert times["encoder.0.feedforward"].backward < 0.01


def test_outside_the_block_the_model_is_what_it_was():
    model, batch = ready(specs.ALL["plain"])
    model.eval()
    doors = {name: dict(module.__dict__) for name, module in model.named_modules()}
    seen = []
    before = model(batch)

    from contextlib import contextmanager

    @contextmanager
    def span(address):
        seen.append(address)
        yield Outcome()

    with spanned(model, span):
        within = model(batch)
    assert torch.equal(before, within)
    assert {name: dict(module.__dict__) for name, module in model.named_modules()} == doors
    assert set(seen) == {"head", "encoder.input", "encoder.0.attention", "encoder.0.feedforward", "encoder.1.attention",
                         "encoder.1.feedforward", "encoder.final_norm", "decoder.input", "decoder.0.attention",
                         "decoder.0.cross_attention", "decoder.0.feedforward", "decoder.final_norm"}  # fmt: skip
    seen.clear()
    with pytest.raises(RuntimeError, match="within"), spanned(model, span):
        raise RuntimeError("within")
    model(batch)
    assert seen == []


def test_measure_warms_up_and_repeats():
    calls = []
    times = measure(lambda: calls.append(1), CPU, seconds=0, least=4)
    assert (len(calls), len(times)) == (6, 4)
    assert spread_of([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
