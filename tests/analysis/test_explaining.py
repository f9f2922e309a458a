"""Explanations of one text, each against the plain formula on a tiny model."""

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from attncli.analysis.explaining import Explained, explain
from attncli.analysis.looking import Look, look
from attncli.analysis.rollout import flow, half_residual, rollout
from attncli.cli import commands
from attncli.errors import InputError
from attncli.nn.attention import Attention

SPEC = """
name: tiny
task: seq2seq
model:
  {d_model: 12, max_length: 16, dropout: 0, attention: {heads: 3, kv_heads: 3, d_head: 6, bias: true, GATE},
   encoder: {layers: 2}, decoder: {layers: 1}}
tokenizer: characters
data: {train: pairs.tsv}
train: {duration: 1, batch: {kind: sequences, size: 2}}
"""
ROW = {"source": "abca", "target": "你好"}


def run_in(folder: Path, gate: str = "", more: Sequence[str] = ()) -> Path:
    (folder / "pairs.tsv").write_text("source\ttarget\nabc\t你好\ncab\t好你\n", "utf-8")
    (folder / "tiny.yaml").write_text(SPEC.replace(", GATE", f", {gate}" if gate else ""))
    words = ["train", str(folder / "tiny.yaml"), "--run", str(folder / "run"), "--device", "cpu", "-q"]
    done = CliRunner().invoke(commands, [*words, *more])
    assert done.exit_code == 0, done.output
    return folder / "run"


def look_at(run: Path) -> Look:
    from attncli.api import load_run
    from attncli.maps.samples import Inspector

    loaded = load_run(run)
    return look(Inspector(loaded.spec, loaded.codec, loaded.model.double()), ROW, place="here")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_in(tmp_path_factory.mktemp("plain"))


def of(explained: Explained, address: str) -> np.ndarray:
    return next(one.values for one in explained.maps if one.address == address)


def attention_of(looked: Look, address: str) -> Attention:
    return looked.attention(address)


@pytest.mark.parametrize("gate", ["", "gate: sigmoid", "gate: sigmoid_per_head, head_scale: learned"])
def test_norms_are_those_of_what_each_token_adds_and_these_sum_to_the_output(gate: str, tmp_path: Path) -> None:
    looked = look_at(run_in(tmp_path, gate))
    for address in ("encoder.1.attention", "decoder.0.cross_attention"):
        attention, record = attention_of(looked, address), looked.records[address][0]
        weights, value = looked.weights(address), record.value[0].detach()
        kept = looked.gates[address][0]
        scale = getattr(attention.ending.scale, "factor", torch.ones(3))
        heads, queries, keys = weights.shape
        total = torch.zeros(queries, 12, dtype=torch.float64)
        lengths = np.zeros((heads, queries, keys))
        for h, i, j in itertools.product(range(heads), range(queries), range(keys)):
            vector = weights[h, i, j] * value[h, j] * scale[h]
            vector = vector if kept is None else vector * kept[0, h, i]
            added = attention.output.weight[:, 6 * h : 6 * h + 6] @ vector
            lengths[h, i, j] = float(added.detach().norm())
            total[i] += added.detach()
        np.testing.assert_allclose(of(explain(looked, "norm"), address), lengths, atol=1e-6)
        wanted = attention.output(attention.ending(record.output, kept).transpose(1, 2).flatten(2))[0]
        torch.testing.assert_close(total + attention.output.bias, wanted, rtol=0, atol=1e-5)


def test_gradient_times_attention_is_the_slope_by_each_weight(plain: Path) -> None:
    """The slope by w_ij, taken by adding a little of v_j to the mixture of place i."""
    looked = look_at(plain)
    address, step = "encoder.0.attention", 1e-5
    found = of(explain(looked, "gradient"), address)
    record, attention = looked.records[address][0], attention_of(looked, address)
    for h, i, j in [(0, 0, 0), (1, 2, 3), (2, 4, 1)]:
        said = []
        for sign in (-1, 1):
            added = torch.zeros_like(record.output)
            added[0, h, i] = sign * step * record.value[0, h, j].detach()
            hook = attention.ending.register_forward_pre_hook(
                lambda _, given, added=added: (given[0] + added, given[1])
            )
            logits = looked.model(looked.batch).log_softmax(-1)
            hook.remove()
            labels = looked.batch["labels"].values
            said.append(float(logits.detach().gather(-1, labels.unsqueeze(-1)).sum()))
        slope = (said[1] - said[0]) / (2 * step)
        assert found[h, i, j] == pytest.approx(float(looked.weights(address)[h, i, j]) * slope, rel=1e-4, abs=1e-9)


def test_value_zeroing_is_the_turn_of_the_layer_without_a_value(plain: Path) -> None:
    looked = look_at(plain)
    address = "encoder.1.attention"
    found = of(explain(looked, "value_zeroing"), address)[0]
    layer = list(looked.model.stacks["encoder"].each_layer())[1]
    entered = []
    hook = layer.register_forward_pre_hook(lambda _, given: entered.append(given[0].detach()))
    with torch.no_grad():
        looked.model(looked.batch)
    hook.remove()
    record, attention = looked.records[address][0], attention_of(looked, address)
    weights, value = looked.weights(address), record.value[0].detach()

    @torch.no_grad()
    def after(value: torch.Tensor) -> torch.Tensor:
        mixed = (weights @ value).transpose(0, 1).flatten(1)
        x = entered[0][0] + attention.output(mixed)
        feedforward = layer.feedforward
        return x + feedforward.body(feedforward.norm(x.unsqueeze(0)))[0]

    whole = after(value)
    turns = np.zeros(found.shape)
    for j in range(found.shape[1]):
        zeroed = value.clone()
        zeroed[:, j] = 0
        one = after(zeroed)
        for i in range(found.shape[0]):
            cosine = float(one[i] @ whole[i] / one[i].norm() / whole[i].norm())
            turns[i, j] = 1 - cosine
    np.testing.assert_allclose(found, turns / turns.sum(1, keepdims=True), atol=1e-4)


def test_rollout_is_the_share_of_all_paths() -> None:
    maps = [np.random.default_rng(seed).dirichlet(np.ones(3), (2, 3)) for seed in range(3)]
    steps = [half_residual(one) for one in maps]
    paths = np.zeros((3, 3))
    for a, b, c, d in itertools.product(range(3), repeat=4):
        paths[d, a] += steps[0][b, a] * steps[1][c, b] * steps[2][d, c]
    np.testing.assert_allclose(rollout(maps)[-1], paths, atol=1e-12)
    np.testing.assert_allclose(steps[0], 0.5 * maps[0].mean(0) + 0.5 * np.eye(3), atol=1e-12)


def test_flow_is_the_smallest_cut() -> None:
    """Through every set of places that is cut off: the least capacity, as Ford and Fulkerson have it."""
    maps = [np.random.default_rng(seed).dirichlet(np.ones(3), (1, 3)) for seed in range(2)]
    first, second = (half_residual(one) for one in maps)
    found = flow(maps)
    for i, j in itertools.product(range(3), repeat=2):
        cuts = []
        for inside in itertools.product([False, True], repeat=3):  # places of the middle level on the source's side
            cut = sum(second[i, k] for k in range(3) if not inside[k])
            cuts.append(cut + sum(first[k, j] for k in range(3) if inside[k]))
        assert found[i, j] == pytest.approx(min(cuts), abs=1e-8)


def test_rollout_of_a_cross_attention_goes_on_to_the_tokens_that_are_read(plain: Path) -> None:
    looked = look_at(plain)
    found = explain(looked, "rollout")
    mean = looked.weights("decoder.0.cross_attention").mean(0).numpy()
    wanted = of(found, "decoder.0.attention")[0] @ mean @ of(found, "encoder.1.attention")[0]
    np.testing.assert_allclose(of(found, "decoder.0.cross_attention")[0], wanted, atol=1e-6)
    np.testing.assert_allclose(wanted.sum(1), 1, atol=1e-5)


def test_what_has_no_meaning_is_said_and_a_long_text_has_no_flow(plain: Path) -> None:
    looked = look_at(plain)
    refused = explain(looked, "flow").refused
    assert refused["decoder.0.cross_attention"] == "flow goes through layers whose places are the same tokens"
    with pytest.raises(InputError, match="25 tokens, and flow is for at most 24"):
        flow([np.full((1, 25, 25), 0.04)])


def test_the_command_shows_and_exports_them(plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    words = ["inspect", str(plain), "--device", "cpu", "--text", "abc", "--target", "好", "--explain-by", "rollout"]
    done = CliRunner().invoke(commands, [*words, "--explain-by", "gradient", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "sample 0 · rollout · largest" in done.stdout
    found = json.loads((out / "explanations.json").read_text("utf-8"))
    assert {one["method"] for one in found} == {"rollout", "gradient"}
    first = next(one for one in found if one["address"] == "decoder.0.cross_attention" and one["method"] == "gradient")
    assert first["keys"] == ["a", "b", "c", "[EOS]"]
    assert first["rows"] == ["好", "[EOS]"]
    assert np.array(first["values"]).shape == (3, 2, 4)
    done = CliRunner().invoke(commands, [*words[:-2], "--out", str(out), "--force"])
    assert done.exit_code == 0, done.output
    assert not (out / "explanations.json").exists(), "they were of the maps that are replaced"


def test_a_file_of_the_user_with_their_name_is_not_written_over(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "explanations.json").write_text("mine", encoding="utf-8")
    words = ["inspect", str(plain), "--device", "cpu", "--text", "abc", "--target", "好", "--explain-by", "rollout"]
    done = CliRunner().invoke(commands, [*words, "--out", str(tmp_path), "--force"])
    assert done.exit_code == 2, done.output
    assert "explanations.json: this file exists" in done.stderr
    assert (tmp_path / "explanations.json").read_text("utf-8") == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["explanations.json"]


def test_importance_is_measured_on_rows(plain: Path) -> None:
    words = ["inspect", str(plain), "--device", "cpu", "--importance"]
    done = CliRunner().invoke(commands, [*words, "--split", "train"], env={"COLUMNS": "110"})
    assert done.exit_code == 0, done.output
    assert "faithfulness of heads: " in done.stdout
    assert "of 2 samples of train" in done.stdout
    found = json.loads(CliRunner().invoke(commands, [*words, "--split", "train", "--json"]).stdout)
    assert len(found["heads"]) == 12
    assert found["faithfulness_of_keys"]["field"] == "source"
    wrong = CliRunner().invoke(commands, [*words, "--out", "maps"])
    assert wrong.exit_code == 2
    assert "--out writes maps of texts: add --text, and the page shows" in wrong.stderr


def test_importance_other_maps_and_claims_are_on_the_page_and_in_json(plain: Path, tmp_path: Path) -> None:
    words = ["inspect", str(plain), "--device", "cpu", "--text", "abc", "--target", "好", "--split", "train",
             "--importance", "--json", "--explain-by", "norm", "--explain-by", "flow", "--assert", "no_leak",
             "--out", str(tmp_path)]  # fmt: skip
    done = CliRunner().invoke(commands, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert len(found["importance"]["heads"]) == 12
    data = re.search(r'id="data">(.*?)</script>', (tmp_path / "attention.html").read_text("utf-8"))
    assert data is not None
    page = json.loads(data[1])
    assert page["importance"]["rows"] == "train"
    assert page["claims"][0]["holds"] is True
    assert page["further"]["flow"]["encoder.0.attention"] == "flow is given for the last layer of a stack"
    assert {"norm", "flow"} == {name for one in page["samples"][0]["attentions"] for name in one.get("further", {})}


@pytest.mark.parametrize("length", [16, 3])
def test_what_was_written_is_read_again_token_by_token_also_where_the_limit_cut_it(length: int, tmp_path: Path) -> None:
    """The model has 16 places, and a text that fills them has no EOS; one that is cut sooner has none either."""
    decoding = f"-o evaluate.decoding={{kind: beam, size: 1, min_length: {length}, max_length: {length}}}"
    run = run_in(tmp_path, more=decoding.split(" ", 1))
    words = ["inspect", str(run), "--device", "cpu", "--text", "abc", "--json", "--explain-by", "gradient"]
    done = CliRunner().invoke(commands, [*words, "--compare", f"{run},reference"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (sample,) = found["samples"]
    wrote = next(one for one in sample["attentions"] if one["address"] == "decoder.0.cross_attention")
    assert len(wrote["writes"]) == length
    assert "[EOS]" not in wrote["writes"]
    explained = next(one for one in found["explanations"] if one["address"] == "decoder.0.cross_attention")
    assert (explained["queries"], explained["rows"]) == (wrote["queries"], wrote["writes"])
    for forced in found["comparison"]["log_probabilities"][0]:
        assert forced == pytest.approx(sample["log_probability"], abs=1e-4)


WRITERS = {
    "copies words of its source": ("{kind: seq2seq, label_smoothing: 0, output: pointer_generator}", "source\ttarget"),
    "restores its text": ("{kind: denoising, corruption: sentinels}", "text\tother"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_other_writers_wrote_is_read_again_too(kind: str, tmp_path: Path) -> None:
    """Words that the vocabulary lacks have ids of their row alone; a denoiser is given one text and no target."""
    task, header = WRITERS[kind]
    (tmp_path / "rows.tsv").write_text(f"{header}\na b c d\td c b a\nb d a c\tc a d b\n")
    (tmp_path / "tiny.yaml").write_text(
        SPEC.replace("task: seq2seq", f"task: {task}").replace(", GATE", "").replace("pairs.tsv", "rows.tsv")
        .replace("tokenizer: characters", "tokenizer: {kind: words, vocabulary: 30}")
    )  # fmt: skip
    run, only = str(tmp_path / "run"), "decoder.0.cross_attention"
    words = ["train", str(tmp_path / "tiny.yaml"), "--run", run, "--device", "cpu", "-q"]
    decoding = "evaluate.decoding={kind: beam, size: 1, min_length: 4, max_length: 4}"
    done = CliRunner().invoke(commands, [*words, "-o", decoding])
    assert done.exit_code == 0, done.output
    words = ["inspect", run, "--device", "cpu", "--text", "b zork a", "--json", "--explain-by", "rollout"]
    done = CliRunner().invoke(commands, [*words, "--compare", f"{run},reference"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    wrote = next(one for one in found["samples"][0]["attentions"] if one["address"] == only)
    explained = next(one for one in found["explanations"] if one["address"] == only)
    assert (explained["queries"], explained["rows"]) == (wrote["queries"], wrote["writes"])
    for forced in found["comparison"]["log_probabilities"][0]:
        assert forced == pytest.approx(found["samples"][0]["log_probability"], abs=1e-4)
