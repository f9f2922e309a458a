"""Memory by counting what is known to be held."""

import pytest
import torch

from attncli.nn.model import build_model, token_fields
from attncli.profiling.flops import Scene
from attncli.profiling.memory import bytes_of, peak_of, peak_of_events, saved_by_part
from attncli.profiling.synthetic import batch_of
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from tests.profiling import specs

CPU = torch.device("cpu")
MEGABYTE = 2**20


def test_the_peak_is_the_most_held_at_one_time():
    def work():
        a = torch.empty(2 * MEGABYTE, dtype=torch.uint8)
        b = torch.empty(3 * MEGABYTE, dtype=torch.uint8)
        del a
        c = torch.empty(1 * MEGABYTE, dtype=torch.uint8)
        return b, c

    made, peak = peak_of(work, CPU)
    assert peak == pytest.approx(5 * MEGABYTE, abs=1024)
    assert bytes_of(iter(made)) == 4 * MEGABYTE


def test_buffers_inside_an_operation_count():
    """A sum over a transposed copy: einsum makes the copy itself, and no tensor of ours ever names it."""
    a = torch.randn(64, 64, 64)
    _, peak = peak_of(lambda: torch.einsum("abc,cbd->ad", a, a), CPU)
    assert peak > 64 * 64 * 4


def test_events_may_come_in_any_order():
    events = [{"name": "[memory]", "ts": ts, "args": {"Bytes": size}} for ts, size in ((3, -5), (1, 5), (2, 7), (4, 1))]
    assert peak_of_events([*events, {"name": "aten::mm", "ts": 0}]) == 12


def trained(text, rows=2, length=6):
    run = load_text(text).run
    sizes = sizes_of(run, token_fields(run))
    batch = batch_of(run, sizes, Scene(rows, dict.fromkeys(run.model.stacks, length)))
    return build_model(run, sizes).train(), batch


def test_saved_bytes_of_a_linear_map_are_its_input():
    """A norm of none, a feed-forward of relu without dropout: saved are its input and its hidden units."""
    model, batch = trained(
        "name: x\ntask: {kind: tagging, tags: 3}\ntokenizer: bytes\n"
        "model: {d_model: 8, norm: none, dropout: 0, encoder: {layers: [{order: [feedforward], "
        "feedforward: {kind: relu, d_ff: 40}}]}}"
    )
    saved = saved_by_part(model, lambda: model.losses(batch).loss)
    assert saved["encoder.0.feedforward"] in (4 * 2 * 6 * (8 + 40), 4 * 2 * 6 * 40)  # the input may be the embedding's


def test_weights_of_an_attention_are_saved_where_the_reference_runs_and_not_where_the_fused_kernel_does():
    grown = {}
    for kernel in ("reference", "fused"):
        text = specs.transformer("heads: 4, dropout: 0").replace("kernel: reference", f"kernel: {kernel}")
        text = text.replace("max_length: 11", "max_length: 64")
        per_length = []
        for length in (16, 32, 64):
            model, batch = trained(text, length=length)
            per_length.append(saved_by_part(model, lambda m=model, b=batch: m.losses(b).loss)["encoder.0.attention"])
        grown[kernel] = per_length[2] - 3 * per_length[1] + 2 * per_length[0]  # 0 for a line, 512 for length squared
    assert grown["fused"] == 0
    assert grown["reference"] >= 2 * 4 * 4 * (64**2 - 3 * 32**2 + 2 * 16**2)  # rows, heads, bytes


def test_parameters_are_not_saved_bytes():
    model, batch = trained(specs.transformer())
    saved = saved_by_part(model, lambda: model.losses(batch).loss)
    assert set(saved) <= {"", *(f"{stack}.{part}" for stack, part in _parts()), "head"}
    assert sum(saved.values()) > 0
    with torch.no_grad():
        assert saved_by_part(model, lambda: model.losses(batch).loss) == {}


def _parts():
    for stack in ("encoder", "decoder"):
        yield from ((stack, part) for part in ("input", "final_norm"))
        for layer in (0, 1):
            yield from ((stack, f"{layer}.{part}") for part in ("attention", "cross_attention", "feedforward"))
