"""The JSON Schema for editors: the one in docs, with every key of specs/; what it refuses the loader refuses."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from attncli.cli import commands
from attncli.spec.nodes import Source, plain
from attncli.spec.reader import lines_of, read_mapping
from attncli.spec.schema import json_schema
from attncli.spec.shapes import records
from tests.spec import schemas
from tests.spec.mutations import SPECS
from tests.spec.reports import refused

ROOT = Path(__file__).parents[2]
HEAD = "name: x\ntask: tagging\nmodel: {encoder: {}}\n"


def read(text):
    return plain(read_mapping(text, Source("s.yaml", lines_of(text), Path()), []))


def parts(schema):
    """Every schema within a schema."""
    yield schema
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())]
    inner += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    for part in inner:
        yield from parts(part)


def test_docs_hold_the_schema_that_is_written():
    assert json.loads((ROOT / "docs/schema.json").read_text(encoding="utf-8")) == json_schema()


def test_the_command_writes_the_file_of_docs(tmp_path):
    written = (ROOT / "docs/schema.json").read_text(encoding="utf-8")
    assert CliRunner().invoke(commands, ["schema"]).stdout == written
    path = tmp_path / "schema.json"
    result = CliRunner().invoke(commands, ["schema", "--out", str(path)])
    assert path.read_text(encoding="utf-8") == written
    assert result.stderr == f"{path}: begin a spec with the line `# yaml-language-server: $schema={path}`\n"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_is_valid(path):
    text = path.read_text(encoding="utf-8")
    assert schemas.faults(read(text), json_schema()) == []
    assert text.startswith("# yaml-language-server: $schema=../docs/schema.json\n")


@pytest.mark.parametrize(
    "rest",
    [
        "sead: 3", "seed: -1", "seed: '3'", "seed: true", "seed: 1.5", "train: {lr: 3}", "train: {clip: 0}",
        "train: {optimizer: adm}", "train: {optimizer: {kind: sgd, betas: [0.9, 0.9]}, learning_rate: 1}",
        "train: {optimizer: {betas: [0.9]}}", "train: {optimizer: {betas: [0.9, 1]}}", "train: {duration: soon}",
        "train: {precision: half}", "train: {early_stopping: {patience: 0}}",
        "tokenizer: {kind: bytes, vocabulary: 300}", "tokenizer: file", "tokenizer: {lowercase: 'no'}",
        "evaluate: {decoding: {kind: sample, top_p: 0}}", "evaluate: {decoding: {kind: sample, top_p: 1.5}}",
        "evaluate: {metrics: accuracy}", "data: {kind: hub}", "data: {train: a, valid: {share: 0}}",
        "data: {train: a, fields: {text: {colum: 1}}}",
    ],
)  # fmt: skip
def test_what_the_schema_refuses_the_loader_refuses(rest):
    assert schemas.faults(read(HEAD + rest), json_schema()) != []
    assert refused(HEAD + rest).startswith("s.yaml:4:")


@pytest.mark.parametrize(
    "rest",
    [
        "extends: base.yaml", "extends: [a.yaml, b.yaml]", "data: none", "tokenizer: words",
        "tokenizer: {vocabulary: 300}",
        "train: {clip: none, duration: 3 epochs, schedule: {warmup: 5%}}", "train: {optimizer: {epsilon: 1}}",
        "evaluate: {decoding: {temperature: 2, kind: sample}}", "data: {train: [a, b], valid: {share: 0.1}}",
        "data: {kind: generated, name: dates, targets: [de]}",
    ],
)  # fmt: skip
def test_what_may_be_written_is_valid(rest):
    assert schemas.faults(read(HEAD + rest), json_schema()) == []


def test_a_spec_that_extends_another_may_leave_out_what_that_says():
    assert schemas.faults({"extends": "base.yaml", "seed": 3}, json_schema()) == []
    assert schemas.faults({"name": "x", "task": "tagging"}, json_schema()) != []


def test_it_is_closed_and_whole():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for part in parts(schema):
        if "properties" in part:
            assert "additionalProperties" in part
        if "$ref" in part:
            assert part["$ref"].removeprefix("#/$defs/") in schema["$defs"]
        assert set(part) <= schemas.KNOWN
    assert all(schema["$defs"].values())


def test_every_class_that_can_be_reached_is_in_it():
    named = {name.rsplit(".", 1)[-1] for name in json_schema()["$defs"]}
    assert {record.__name__.strip("_") for record in records()} - named == {"Run"}


def test_defaults_and_words_are_those_of_the_classes():
    top, named = json_schema()["properties"], json_schema()["$defs"]
    assert (top["seed"]["default"], top["tokenizer"]["default"], top["language"]["default"]) == (0, "bpe", 1)
    train = named["training.Train"]["properties"]
    assert (train["duration"]["default"], train["optimizer"]["default"], train["clip"]["default"]) == (
        "10000", "adamw", 1.0,
    )  # fmt: skip
    assert train["precision"]["enum"] == ["auto", "float32", "bf16", "fp16"]
    assert "1/sqrt(4000 d_model)" in train["learning_rate"]["description"]
    assert "share one optimizer step" in named["training.TokenBatch"]["properties"]["accumulate"]["description"]
    assert set(named["score"]["anyOf"][0]["enum"]) == {
        "scaled_dot", "dot", "cosine", "general", "biased_dot", "trilinear", "distance", "additive",
        "coverage", "location_aware",
    }  # fmt: skip
