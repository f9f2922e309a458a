"""attncli build: what it says, what it writes, and how it refuses."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from attncli.cli import commands
from attncli.nn.model import build_model, token_fields
from attncli.spec.load import load_spec, load_text
from attncli.spec.sizes import sizes_of

SPEC = """\
name: small
task: seq2seq
model:
  d_model: 32
  encoder: {layers: 2}
  decoder: {layers: 2, attention: {mask: causal & window(before=3)}}
tokenizer: {kind: bpe, vocabulary: 300}
"""


@pytest.fixture
def spec(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    path = Path("small.yaml")
    path.write_text(SPEC)
    return path


def build(*arguments: object) -> Result:
    return CliRunner().invoke(commands, ["build", *map(str, arguments)], prog_name="attncli")


def test_validate_only_says_so(spec):
    result = build(spec, "--validate-only")
    assert (result.exit_code, result.stdout) == (0, "small.yaml: small is valid\n")


def test_faults_end_with_2_and_all_of_them(spec):
    spec.write_text(SPEC.replace("d_model", "d_mode").replace("task: seq2seq", "task: seq2sec"))
    result = build(spec)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "small.yaml:2:7" in result.stderr
    assert "did you mean 'seq2seq'?" in result.stderr
    assert "small.yaml:4:3" in result.stderr
    assert "did you mean 'd_model'?" in result.stderr


def test_a_missing_file_ends_with_2(spec):
    result = build("smal.yaml")
    assert result.exit_code == 2
    assert "smal.yaml: there is no such file" in result.stderr
    assert "did you mean 'small.yaml'?" in result.stderr


def test_the_graph_needs_no_data(spec):
    spec.write_text(SPEC + "data: {train: nowhere.tsv}\n")
    result = build(spec)
    assert result.exit_code == 0
    assert "source: 300 ids (from data) x 32" in result.stdout
    assert "layers 0-1" in result.stdout
    assert "shares with encoder.input" in result.stdout
    assert "\x1b" not in result.stdout
    run = load_spec(spec).run
    count = sum(p.numel() for p in build_model(run, sizes_of(run, token_fields(run)), "meta").parameters())
    assert re.search(rf"^total .* {count:,} *$", result.stdout, re.M)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_nothing_is_lost_in_a_narrow_terminal(spec, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    said = build(spec).stdout
    assert max(map(len, said.split("\n\n")[0].splitlines())) <= columns
    for word in ("cross_attention", "feedforward", "final_norm", "total", "head"):
        assert word in said


def test_kernels_have_reasons(spec):
    said = build(spec, "--device", "cpu").stdout
    whole = "encoder.0.attention, encoder.1.attention, decoder.0.cross_attention, decoder.1.cross_attention"
    assert f"reference: {whole}\n  on the CPU the fused kernel has no dropout on the weights" in " ".join(
        said.split(" ")
    )
    assert "banded: decoder.0.attention, decoder.1.attention\n  the mask is local: each block of queries reads" in said
    said = build(spec, "--device", "cpu", "-o", "model.attention.dropout=0").stdout
    assert "fused: encoder.0.attention" in said
    said = build(spec, "--device", "cpu", "-o", "model.decoder.attention.mask=causal").stdout
    assert "reference: every attention" in said


def test_json_names_every_module_and_attention(spec):
    result = build(spec, "--json", "--device", "cpu")
    graph = json.loads(result.stdout)
    assert graph["name"] == "small"
    assert graph["from_data"] == ["source", "target"]
    assert graph["parameters"] == sum(module["parameters"] for module in graph["modules"])
    assert graph["bytes"] == 4 * graph["parameters"]
    modules = {module["name"]: module for module in graph["modules"]}
    assert modules["encoder.input"]["weights"] == {"embedding.weight": [300, 32]}
    assert modules["head"]["shared"] == {"output.weight": "encoder.input"}
    assert [attention["address"] for attention in graph["attentions"]] == [
        "encoder.0.attention", "encoder.1.attention", "decoder.0.attention", "decoder.0.cross_attention",
        "decoder.1.attention", "decoder.1.cross_attention",
    ]  # fmt: skip
    assert graph["attentions"][2] | {"why": []} == {
        "address": "decoder.0.attention", "heads": 1, "kv_heads": 1, "d_head": 32, "d_value": 32,
        "mask": "causal & window(before=3)", "kernel": "banded", "why": [],
    }  # fmt: skip
    assert graph["attentions"][2]["why"]


def test_resolved_is_a_spec_that_loads_to_the_same(spec):
    said = build(spec, "--resolved").stdout
    assert load_text(said).run == load_spec(spec).run
    assert "# " in said


def test_blame_says_where_a_value_comes_from(spec):
    said = build(spec, "--blame", "model.encoder.d_model", "-o", "model.d_model=64").stdout
    assert said.startswith("model.encoder.d_model: 64  # ")
    assert "-o" in said
    result = build(spec, "--blame", "model.encoder.d_modle")
    assert result.exit_code == 2
    assert "there is no key 'model.encoder.d_modle' in this spec" in result.stderr
    assert "did you mean 'd_model'?" in result.stderr


def test_masks_are_a_picture(spec, tmp_path):
    picture = tmp_path / "new" / "masks.svg"
    assert build(spec, "--mask", "--out", str(picture)).stdout == f"{picture}: the masks of small\n"
    assert "decoder.attention of layers 0-1" in picture.read_text()
    result = build(spec, "--mask", "decoder.1.attention", "--out", str(tmp_path / "masks.png"))
    assert result.exit_code == 2
    assert "masks are drawn as .svg" in result.stderr


def test_masks_are_drawn(spec):
    said = build(spec, "--mask").stdout
    assert "decoder.attention of layers 0-1" in said
    assert "every query sees every key" in said
    assert build(spec, "--mask", "decoder.1.attention").stdout.count("queries and") == 1
    result = build(spec, "--mask", "decoder.9.attention")
    assert result.exit_code == 2
    assert "--mask decoder.9.attention: small has no attention of that address" in result.stderr
    assert result.stdout == ""


def test_weights_are_those_of_the_seed_and_never_overwritten(spec):
    assert build(spec, "--out", "new/one.safetensors").exit_code == 0
    assert build(spec, "--out", "two.safetensors").exit_code == 0
    assert build(spec, "--out", "other.safetensors", "-o", "seed=1").exit_code == 0
    one, two, other = (load_file(f"{name}.safetensors") for name in ("new/one", "two", "other"))
    run = load_spec(spec).run
    model = build_model(run, sizes_of(run, token_fields(run)), "meta")
    assert {name: p.shape for name, p in model.named_parameters()} == {name: p.shape for name, p in one.items()}
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    refused = build(spec, "--out", "two.safetensors")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "two.safetensors: this file exists; weights are never written over a file\nhelp: name another file\n"
    )


def test_two_ways_to_show_it_are_refused(spec):
    result = build(spec, "--resolved", "--json")
    assert result.exit_code == 2
    assert "--resolved and --json show different things: give one of them" in result.stderr


def test_70_billion_parameters_take_no_memory(tmp_path):
    """The limits of time and memory are measured by benchmarks/build_70b.py; here the same spec is built."""
    root = Path(__file__).parent.parent.parent
    script = root / "benchmarks" / "build_70b.py"
    text = re.search(r'SPEC = """\n(.*?)"""', script.read_text(), re.S)
    assert text is not None
    path = tmp_path / "llama-70b.yaml"
    path.write_text(text[1])
    words = [sys.executable, "-m", "benchmarks.build_70b", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    parameters, _, megabytes = map(float, done.stdout.split())
    d, f, vocabulary, layers, share = 8192, 28672, 128256, 80, 8
    assert parameters == layers * (2 * d * d + 2 * d * d // share + 3 * d * f + 2 * d) + 2 * vocabulary * d + d
    assert megabytes < 150
