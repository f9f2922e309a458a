"""Training that starts from another run: what is taken, said and refused; adapters that learn in place of the rest."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from attncli.cli import commands
from attncli.nn.lora import Adapter, freeze, merge
from attncli.nn.model import build_model
from attncli.spec.load import load_text
from attncli.spec.sizes import Sizes
from attncli.training.folder import RunFolder
from tests.nn.models import batch, shake
from tests.spec.reports import refused

BASE = """
name: base
task: masked_language_model
model: {encoder: {d_model: 8, layers: 2, max_length: 32, attention: {heads: 2}}}
tokenizer: characters
data: {train: t.csv}
train: {duration: 2, batch: {kind: sequences, size: 8}}
"""
FINE = """
name: fine
task: {kind: classification, pooling: cls}
model: {encoder: {d_model: 8, layers: 2, max_length: 32, attention: {heads: 2}}}
tokenizer: characters
data: {train: t.csv}
train: {start: {from: base}, duration: 4, batch: {kind: sequences, size: 8}}
"""
STILL = FINE.replace("duration: 4", "duration: 1, learning_rate: 1e-30")
"""No weight but 0 is moved by so little."""
ROWS = "text,label\n" + "\n".join(
    f"{'ab' * (n % 5 + 1)}{'c' * (n % 2)},{'odd' if n % 2 else 'even'}" for n in range(24)
)
LORA = "lora: {rank: 2, alpha: 6, targets: [encoder.*.attention.query, encoder.1.feedforward]}, duration: 4"


def train(folder: Path, text: str, *words: str, name: str, code: int = 0) -> str:
    (folder / f"{name}.yaml").write_text(text)
    arguments = [str(folder / f"{name}.yaml"), "--run", str(folder / name), "--device", "cpu", "--threads", "1"]
    done = CliRunner().invoke(commands, ["train", *arguments, *words])
    assert done.exit_code == code, done.output
    return done.stderr


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "t.csv").write_text(ROWS)
    train(folder, BASE, name="base")
    return folder


def test_it_starts_with_the_weights_and_the_ids_of_the_run(base: Path) -> None:
    told = train(base, STILL, name="zero")
    assert f"weights from {base / 'base'} (step 2); drawn: head.output.bias, head.output.weight" in told
    old, new = (load_file(base / name / "last" / "model.safetensors") for name in ("base", "zero"))
    assert {name for name in new if name not in old or not new[name].equal(old[name])} == {
        "head.output.bias", "head.output.weight",
    }  # fmt: skip
    assert (base / "base" / "tokenizer.json").read_bytes() == (base / "zero" / "tokenizer.json").read_bytes()
    assert json.loads((base / "zero" / "start.json").read_text())["left"] == []
    (base / "b.csv").write_text(ROWS.replace("c", "x"))  # another text, and still the ids of the run
    train(base, STILL.replace("t.csv", "b.csv"), name="other")
    assert (base / "base" / "tokenizer.json").read_bytes() == (base / "other" / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tokenizer: characters", "tokenizer: words", "has another tokenizer of 'text'"),
        ("d_model: 8", "d_model: 12", "is [8] there, [12] here"),
        ("from: base", "from: nowhere", "this is no run folder"),
    ],
)
def test_what_does_not_fit_is_refused(base: Path, old: str, new: str, says: str) -> None:
    assert says in train(base, FINE.replace(old, new), name="unfit", code=2)


def test_adapters_and_a_new_head_learn_and_a_resumed_run_needs_the_first_no_more(base: Path, tmp_path: Path) -> None:
    text = FINE.replace("duration: 4", LORA)
    assert "lora: 322 of " in train(base, text, name="whole")
    train(base, text, "--steps", "2", name="parts")
    (base / "base").rename(tmp_path / "away")
    try:
        train(base, text, "--resume", name="parts")
    finally:
        (tmp_path / "away").rename(base / "base")
    whole, parts, old = (load_file(base / name / "last" / "model.safetensors") for name in ("whole", "parts", "base"))
    assert all(whole[name].equal(parts[name]) for name in whole)
    assert all(whole[name].equal(old[name]) for name in old if name in whole)
    moved = [name for name in whole if name.endswith("adapter.up")]
    assert len(moved) == 5 and all(whole[name].any() for name in moved)
    merged = RunFolder(base / "whole").model("last")
    assert not any(isinstance(each, Adapter) for each in merged.modules())
    name = "encoder.layers.0.attention.body.query"
    up, down = (whole[f"{name}.adapter.{each}"].tolist() for each in ("up", "down"))
    product = torch.tensor(
        [[sum(u * d[at] for u, d in zip(row, down, strict=True)) * 3 for at in range(8)] for row in up]
    )
    torch.testing.assert_close(merged.get_parameter(f"{name}.weight").data, old[f"{name}.weight"] + product)


SEQ = """
name: x
task: seq2seq
model: {d_model: 12, max_length: 32, attention: {heads: 2}, encoder: {layers: 1}, decoder: {layers: 2}}
tokenizer: {kind: words, vocabulary: 17}
"""
LORAS = "{rank: 3, alpha: 2, dropout: 0.5, targets: ['*.attention', '*.cross_attention.value']}"
START = f"train: {{start: {{from: a}}, lora: {LORAS}}}\n"


def test_a_merged_model_gives_what_the_adapted_one_does() -> None:
    run = load_text(SEQ + START).run
    model = build_model(run, Sizes({"source": 19, "target": 19}))
    adapters = [each for each in model.modules() if isinstance(each, Adapter)]
    assert len(adapters) == 3 * 4 + 2
    plain = build_model(load_text(SEQ).run, Sizes({"source": 19, "target": 19}))
    plain.load_state_dict(model.state_dict(), strict=False)
    assert torch.equal(model.eval()(batch()), plain.eval()(batch())), "B is 0 at the start"
    shake(model)
    model = model.double().eval()
    expected = model(batch())
    x = torch.ones(1, 12, dtype=torch.float64)
    assert not torch.equal(adapters[0].train()(x), adapters[0].eval()(x))
    freeze(model, frozenset({"head.output.bias"}))
    model(batch()).square().sum().backward()
    learn = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learn == {name for name, _ in model.named_parameters() if ".adapter." in name}
    merge(model)
    torch.testing.assert_close(model(batch()), expected, rtol=0, atol=1e-11)


def test_where_adapters_have_no_meaning() -> None:
    assert "adapters change weights that have learned" in refused(SEQ + START.replace("start: {from: a}, ", ""))
    text = SEQ + START.replace("'*.attention'", "encoder.3.attention")
    assert "'encoder.3.attention' names no branch of the model" in refused(text)
    shared = SEQ.replace("encoder: {layers: 1}", "encoder: {layers: [{repeat: 2, share: all}]}")
    assert "names a layer whose weights others share" in refused(shared + START)
    latent = SEQ.replace(
        "encoder: {layers: 1}", "encoder: {layers: 1, attention: {kind: latent, kv_rank: 4, d_rotary: 2}}"
    )
    assert "names attention of kind latent, whose maps meet in products" in refused(latent + START)
