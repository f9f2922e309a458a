"""The models of specs/papers: each builds without a note, has its published parameters, keeps the laws when small."""

import re
from functools import cache
from pathlib import Path

import pytest
from torch import nn

from attncli.checking.certificate import certify
from attncli.checking.laws import LAWS
from attncli.nn.model import build_model, token_fields
from attncli.spec.load import Loaded, load_spec
from attncli.spec.nodes import Source, plain
from attncli.spec.reader import lines_of, read_mapping
from attncli.spec.schema import json_schema
from attncli.spec.sizes import sizes_of
from tests.spec import schemas

ROOT = Path(__file__).parents[2]
PAPERS = {path.stem: path for path in sorted((ROOT / "specs" / "papers").glob("*.yaml"))}
HELD = [law for law in LAWS if law.name in ("causality", "cache", "padding")]
"""What each of them is tried for; `attncli check` tries the rest."""

TRANSFORMERS = "the model of that name in transformers 5, built with the published sizes"
COUNTS = {
    "albert-base": (11_813_810, TRANSFORMERS),
    "bart-base": (139_420_416, TRANSFORMERS),
    "bigbird-base": (128_111_286, TRANSFORMERS),
    "bloom-560m": (559_214_592, TRANSFORMERS),
    "command-r": (34_980_831_232, TRANSFORMERS),
    "deberta-base": (139_244_121, TRANSFORMERS),
    "deepseek-v3": (671_026_404_352, TRANSFORMERS),
    "falcon-7b": (6_921_720_704, TRANSFORMERS),
    "gemma-2-9b": (9_241_705_984, TRANSFORMERS),
    "gemma-2b": (2_506_172_416, TRANSFORMERS),
    "gemma-3-1b": (999_885_952, TRANSFORMERS),
    "granite-3-2b": (2_533_531_648, TRANSFORMERS),
    "gpt-oss-20b": (20_914_757_184, TRANSFORMERS),
    "gpt-j-6b": (6_050_882_784, TRANSFORMERS),
    "llama-2-7b": (6_738_415_616, TRANSFORMERS),
    "llama-3.1-8b": (8_030_261_248, TRANSFORMERS),
    "longformer-base": (148_711_257, TRANSFORMERS),
    "mistral-7b": (7_241_732_096, TRANSFORMERS),
    "mixtral-8x7b": (46_702_792_704, TRANSFORMERS),
    "modernbert-base": (149_655_232, TRANSFORMERS),
    "moonlight-16b-a3b": (15_960_108_544, TRANSFORMERS),
    "nemotron-4-15b": (15_628_775_424, TRANSFORMERS),
    "olmo-2-7b": (7_298_617_344, TRANSFORMERS),
    "olmoe-1b-7b": (6_919_161_856, TRANSFORMERS),
    "opt-125m": (125_239_296, TRANSFORMERS),
    "phi-2": (2_779_683_840, TRANSFORMERS),
    "pointer-generator": (21_501_265, "arXiv:1704.04368, section 5: 21,499,600, 1,153 more and 512 more"),
    "pythia-160m": (162_322_944, "85,056,000 in table 1 of arXiv:2304.01373, and two embeddings of 50,304 x 768"),
    "qwen2-7b": (7_615_616_512, TRANSFORMERS),
    "qwen3-next-80b": (79_674_391_296, TRANSFORMERS),
    "qwen3-8b": (8_190_735_360, TRANSFORMERS),
    "smollm3-3b": (3_075_098_624, TRANSFORMERS),
    "switch-base-8": (619_339_008, TRANSFORMERS),
    "t5-base": (222_903_552, TRANSFORMERS),
    "talking-heads": (222_903_552, "t5-base, which it changes"),
    "yarn-llama-2-7b": (6_738_415_616, "llama-2-7b, which it extends"),
}
"""Parameters as published, and where."""

APART = {
    "bart-base": -2 * 2 * 768,  # a table of positions begins at 2, in each stack
    "bigbird-base": -(768 * 768 + 768),  # a pooler that nobody reads
    "deberta-base": -12 * 768,  # biases of the maps that make queries of positions
    "longformer-base": -2 * 768 - 768,  # the table of positions begins at 2, a vector of segments
    "opt-125m": -2 * 768,  # the table of positions begins at 2
    "pointer-generator": 3 * 4 * 256,  # the second bias of torch's LSTM: two directions and the decoder
    "talking-heads": 36 * 2 * 12 * 12,  # the matrices that mix the heads
}
"""What is known to be different, and said in the spec."""

NOTED = {"adaptive-span": "the first token of a text sees nothing, as in the published code"}
"""Those that build with a note."""


LAST = {
    "deepseek-v3": ("model.decoder.layers.1.repeat", 58, 1),
    "qwen3-next-80b": ("model.decoder.layers.0.repeat", 12, 4),
}
"""Last groups alike of so many layers, of which one is built and the others are counted: 58 times 256 experts take
seconds."""


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@cache
def loaded(name: str) -> Loaded:
    return load_spec(PAPERS[name])


every_paper = pytest.mark.parametrize("name", PAPERS)


def test_there_are_papers():
    assert len(PAPERS) >= 40
    assert set(APART) <= set(COUNTS) <= set(PAPERS)
    assert f"{len(PAPERS)} specs of [specs/papers]" in (ROOT / "README.md").read_text(encoding="utf-8")


@every_paper
def test_it_opens_with_its_command_and_its_paper(name):
    lines = PAPERS[name].read_text(encoding="utf-8").splitlines()
    assert lines[:4] == [
        "# yaml-language-server: $schema=../../docs/schema.json",
        "#",
        f"#   attncli build specs/papers/{name}.yaml",
        "#",
    ]
    assert re.search(r"\b(19|20)\d\d\b", lines[4]), "the year of the paper"
    assert loaded(name).run.name == name
    assert len(loaded(name).notes) == (name in NOTED)


def test_editors_accept_them():
    schema = json_schema()
    for name, path in PAPERS.items():
        text = path.read_text(encoding="utf-8")
        found = schemas.faults(plain(read_mapping(text, Source(path.name, lines_of(text), path.parent), [])), schema)
        assert (name, found) == (name, [])


@every_paper
def test_it_builds_with_the_published_parameters(name):
    key, repeats, layers = LAST.get(name, ("", 0, 0))
    run = load_spec(PAPERS[name], [f"{key}=1"]).run if repeats else loaded(name).run
    model = build_model(run, sizes_of(run, token_fields(run)), device="meta")
    found = count(model)
    if repeats:
        found += (repeats - 1) * count(model.stacks["decoder"].layers[-layers:])
    if name in COUNTS:
        assert found == COUNTS[name][0] + APART.get(name, 0)
        assert f"{COUNTS[name][0]:,}" in PAPERS[name].read_text(encoding="utf-8")


@every_paper
def test_it_keeps_the_laws_when_small(name):
    assert len(HELD) == 3
    certificate = certify(loaded(name), laws=HELD)
    assert certificate.holds, "\n".join(certificate.lines())
