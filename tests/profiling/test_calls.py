"""The kernel that a profile names for an attention is the one that its calls run."""

import pytest
import torch

from attncli.nn import serving
from attncli.nn.model import build_model, token_fields
from attncli.profiling import report
from attncli.profiling.calls import calls_of
from attncli.profiling.flops import Scene
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from tests.profiling import specs

LOCAL = """
name: x
task: seq2seq
tokenizer: bytes
model:
  d_model: 24
  max_length: 400
  attention: {heads: 2, dropout: 0.1}
  encoder: {layers: 1, attention: {mask: window(around=2)}}
  decoder: {layers: 1, attention: {mask: causal & window(before=3), persistent: 3}}
"""
TEXT = """
name: x
task: language_model
tokenizer: bytes
model:
  d_model: 24
  max_length: 400
  attention: {heads: 2, mask: causal & window(before=3)}
  decoder: {layers: 2}
"""
SPECS = {
    "local": (LOCAL, {"encoder": 300, "decoder": 9}),
    "short": (LOCAL, {"encoder": 40, "decoder": 9}),
    "local text": (TEXT, {"decoder": 250}),
    "language model": (specs.one_stack("language_model", "decoder"), {"decoder": 7}),
}


@pytest.mark.parametrize("phase", ["train", "forward", "decode"])
@pytest.mark.parametrize(("text", "lengths"), SPECS.values(), ids=SPECS.keys())
def test_what_is_named_is_what_runs(text, lengths, phase, monkeypatch):
    run, scene = load_text(text).run, Scene(2, lengths, phase)
    sizes = sizes_of(run, token_fields(run))
    setting = report.Setting(torch.device("cpu"), None, lambda model: torch.optim.SGD(model.parameters(), 0.1))
    begin = {"train": report._training, "forward": report._forward, "decode": report._decoding}[phase]
    bench = begin(run, sizes, scene, setting)
    ran, planned, plan, serve = {}, [], serving.plan, serving.Served.serve

    def served(self, ready):
        mixed = serve(self, ready)
        ran[self.address] = planned[-1]
        return mixed

    monkeypatch.setattr(serving, "plan", lambda *a, **k: planned.append(plan(*a, **k)) or planned[-1])
    monkeypatch.setattr(serving.Served, "serve", served)
    with torch.no_grad():
        bench.forward()
    calls = calls_of(run, scene)
    model = build_model(run, sizes, "meta")
    rows = report.kernels_of(model, device="cpu", dtype="float32", training=phase == "train", calls=calls)
    named = {row["address"]: (row["kernel"], tuple(row["why"])) for row in rows}
    assert ran.keys() == calls.keys()
    assert {address: (choice.kernel, choice.reasons) for address, choice in ran.items()} == {
        address: named[address] for address in calls
    }


def test_a_local_mask_is_served_by_blocks_from_the_length_on_that_is_named():
    run = load_text(LOCAL).run
    model = build_model(run, sizes_of(run, token_fields(run)), "meta")
    found = []
    for length in (447, 448):
        calls = calls_of(run, Scene(2, {"encoder": length, "decoder": 9}))
        rows = report.kernels_of(model, device="cpu", dtype="float32", training=False, calls=calls)
        found.append((rows[0]["kernel"], rows[0]["why"][-1]))
    assert found[0] == (
        "fused",
        "the mask is local, but with 447 keys the banded kernel is no faster; it is from 448 on",
    )
    assert found[1][0] == "banded"
