"""The timeline of a step."""

import json

import torch

from attncli.nn.model import build_model, token_fields
from attncli.profiling.flops import Scene
from attncli.profiling.synthetic import batch_of
from attncli.profiling.trace import write_trace
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from tests.profiling import specs


def test_slices_bear_the_addresses_of_parts(tmp_path):
    run = load_text(specs.transformer()).run
    sizes = sizes_of(run, token_fields(run))
    model = build_model(run, sizes)
    batch = batch_of(run, sizes, Scene(2, {"encoder": 4, "decoder": 4}))
    path = tmp_path / "new" / "trace.json"
    write_trace(model, lambda done: model.losses(batch).loss.backward(), path, torch.device("cpu"))
    slices = {event["name"]: event for event in json.loads(path.read_text())["traceEvents"] if event.get("ph") == "X"}
    assert {"encoder.0.attention", "decoder.0.cross_attention", "head", "aten::mm"} <= set(slices)
    assert slices["encoder.0.attention"]["dur"] > 0
