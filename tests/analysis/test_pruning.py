"""Pruning: the smaller model gives what the masked one gives, for every kind; and why where not."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from attncli.analysis.heads import read_heads
from attncli.analysis.masking import scaled
from attncli.analysis.pruning import masked, reduced
from attncli.analysis.smaller import without
from attncli.cli import commands
from attncli.errors import InputError
from attncli.nn.model import token_fields
from attncli.spec.sizes import Sizes
from tests.catalogue import NORMALIZERS, READERS_ONLY, SCORES
from tests.nn.models import VOCABULARIES, batch, build, run_of, transformer

FOUR = "{heads: 4, kv_heads: 4, d_head: 6}"
PARTS = {
    **{f"score {name}": transformer(heads=FOUR, score=score) for name, score in SCORES.items()},
    **{
        f"normalizer {name}": transformer(heads=FOUR, normalizer=kind)
        for name, kind in NORMALIZERS.items()
        if name not in READERS_ONLY and name != "gumbel"
    },
    **{
        f"position {name}": transformer(heads=FOUR, position=name)
        for name in (
            "rotary", "{kind: alibi, slopes: learned}", "{kind: t5, buckets: 8, max_distance: 16}", "transformer_xl",
            "{kind: shaw, max_distance: 4, 'on': both}", "kerple", "{kind: disentangled, max_distance: 4}",
            "log_distance",
        )
    },
    **{
        f"steps {steps}": transformer(heads=FOUR, steps=steps)
        for steps in (
            "{sink: learned, head_scale: learned}", "{gate: sigmoid, context_norm: rms_norm}", "{persistent: 3}",
            "{gate: sigmoid_per_head, qk_norm: rms_norm, v_norm: rms_norm}", "{output: attention_on_attention}",
            "{span: {kind: adaptive, maximum: 4, ramp: 2}}", "{short_convolution: 3}", "{select: {kind: top, keys: 2}}",
            "{d_value: 5, bias: [query, value]}",
        )
    },
    "shared": transformer(heads=FOUR, position="rotary"),
}  # fmt: skip
GONE = {"encoder.0.attention": (1,), "decoder.1.cross_attention": (0, 3), "decoder.1.attention": (0, 1, 2)}


def check(text: str, gone: dict[str, tuple[int, ...]]) -> None:
    """The smaller model against the masked one, on padded rows."""
    model, run = build(text), run_of(text)
    sizes = Sizes({field: VOCABULARIES[field] for field in token_fields(run)}, 3)
    rows = batch()
    with torch.no_grad():
        plain = model(rows)
        with scaled(model, masked(model, gone)):
            wanted = model(rows)
        smaller, new, _ = reduced(run, sizes, model, gone)
        found = new(rows)
    assert not torch.allclose(plain, wanted, atol=1e-6), "the masked heads did nothing, so nothing was shown"
    real = rows["target"].real
    torch.testing.assert_close(found[real], wanted[real], rtol=0, atol=1e-10)
    assert sum(p.numel() for p in new.parameters()) < sum(p.numel() for p in model.parameters())
    assert all(new.attentions()[address].heads == 4 - len(heads) for address, heads in gone.items())
    assert run_of(text).model != smaller.model


@pytest.mark.parametrize("name", PARTS)
def test_the_smaller_model_is_the_masked_one(name: str) -> None:
    check(PARTS[name], GONE)


@pytest.mark.parametrize(("kept", "gone"), [("one of each group", (0, 3)), ("a whole group", (2, 3))])
def test_kv_heads_leave_with_the_last_of_their_query_heads(kept: str, gone: tuple[int, ...]) -> None:
    text = transformer(heads="{heads: 4, kv_heads: 2, d_head: 6}", steps="{persistent: 2, v_norm: rms_norm}")
    check(text, {"encoder.1.attention": gone, "decoder.0.attention": gone})


@pytest.mark.parametrize("pairs", ["neighbours", "halves"])
def test_pairs_of_a_differential_attention_leave_with_both_maps(pairs: str) -> None:
    text = transformer(
        heads="{heads: 4, kv_heads: 4, d_head: 6}",
        steps=f"{{kind: differential, start: 0.3, pairs: {pairs}}}",
        score="biased_dot",
    )
    check(text, {"encoder.0.attention": (1,), "decoder.0.cross_attention": (0, 2)})


OTHERS = {
    "latent": "{kind: latent, heads: 4, kv_rank: 5, d_head: 6, d_rotary: 4, bias: true}",
    "linear": "{kind: linear, heads: 4, d_head: 5, d_value: 3, bias: true}",
    "performer": "{kind: performer, heads: 4, d_head: 6, features: 8}",
    "delta": "{kind: delta, heads: 4, qk_heads: 2, d_head: 6, d_value: 5, short_convolution: 3, gate: silu}",
    "gated_delta": "{kind: gated_delta, heads: 4, d_head: 6, d_value: 5}",
    "cope": "{heads: 4, d_head: 6, position: {kind: cope, maximum: 5}}",
    "forgetting": "{heads: 4, d_head: 6, position: forgetting}",
    "retention": "{kind: retention, heads: 4, d_head: 6}",
    "global rows": "{heads: 4, d_head: 6, mask: causal & (window(before=2) | first(1)), second_projections: q < 1}",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_lose_heads_too(name: str) -> None:
    text = f"""
name: tiny
task: seq2seq
model:
  d_model: 12
  max_length: 32
  tie_embeddings: none
  encoder: {{layers: 1, attention: {{heads: 4, d_head: 6}}}}
  decoder: {{layers: [{{repeat: 2, attention: {OTHERS[name]}, cross_attention: {{kind: multi_head, heads: 4}}}}]}}
tokenizer: {{kind: words, vocabulary: 17}}
"""
    gone = (2, 3) if name in ("retention", "delta") else (0, 2)
    check(text, {"decoder.1.attention": gone})


def test_layers_that_share_weights_lose_the_same_heads() -> None:
    text = transformer(heads=FOUR, share="all")
    both = {"decoder.0.attention": (1,), "decoder.1.attention": (1,)}
    check(text, both)
    with pytest.raises(
        InputError, match=r"decoder\.1\.attention: it has the weights of decoder\.0\.attention; name the same"
    ):
        without(run_of(text), {"decoder.0.attention": (1,)})


def test_a_recurrent_decoder_loses_heads_where_its_attention_has_maps() -> None:
    text = """
name: tiny
task: seq2seq
model:
  d_hidden: 12
  max_length: 32
  tie_embeddings: none
  encoder: {kind: recurrent}
  decoder: {kind: recurrent, cross_attention: {heads: 4, projections: all, score: additive}}
tokenizer: {kind: words, vocabulary: 17}
"""
    check(text, {"decoder.cross_attention": (0, 2)})


REFUSED = {
    "each kv head must serve equally many heads, and they would serve 1 and 2": (
        transformer(heads="{heads: 4, kv_heads: 2, d_head: 6}"), (1,)
    ),
    "no head would stay; to leave the attention out, leave it out of `order` and train anew": (
        transformer(heads=FOUR), (0, 1, 2, 3)
    ),
    "talking_heads mixes every head into every other": (transformer(heads=FOUR, steps="{talking_heads: both}"), (1,)),
    "the slopes of alibi follow from the number of heads": (transformer(heads=FOUR, position="alibi"), (3,)),
    "qk_norm over: projection makes one vector of all heads": (
        transformer(heads=FOUR, steps="{qk_norm: {kind: rms_norm, over: projection}}"), (3,)
    ),
    "its mask tells heads by their number": (transformer(heads=FOUR, mask="h % 2 == 0 | k <= q"), (0,)),
    "without maps of query, key, value, output the widths of the states are those of all heads": (
        transformer(heads="{heads: 4, kv_heads: 4, projections: none}"), (0,)
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_no_smaller_model_can_do_is_refused_with_the_reason(reason: str) -> None:
    text, heads = REFUSED[reason]
    with pytest.raises(InputError) as error:
        without(run_of(text), {"encoder.0.attention": heads})
    assert f"encoder.0.attention: {reason}" in str(error.value)


def test_heads_of_several_attentions_are_named_with_commas_or_one_by_one() -> None:
    there = {"encoder.0.attention": 4, "decoder.cross_attention": 2}
    wanted = {"encoder.0.attention": (0, 3), "decoder.cross_attention": (1,)}
    assert read_heads(["encoder.0.attention:3,0,decoder.cross_attention:1"], there) == wanted
    assert read_heads(["encoder.0.attention:3, decoder.cross_attention:1", "encoder.0.attention:0"], there) == wanted
    with pytest.raises(InputError, match=r"--heads 'encoder\.0\.attention:': this names no heads"):
        read_heads(["encoder.0.attention:,decoder.cross_attention:1"], there)


def test_every_fault_of_what_is_named_is_in_one_report() -> None:
    with pytest.raises(InputError) as error:
        read_heads(["encoder.0.atention:1", "encoder.0.attention:4,5", "encoder.0"], {"encoder.0.attention": 4})
    assert str(error.value).splitlines() == [
        "--heads encoder.0.atention:1: no attention has the address 'encoder.0.atention'; "
        "did you mean encoder.0.attention?",
        "--heads encoder.0.attention:4,5: encoder.0.attention has no head 4; its heads are 0 to 3",
        "--heads encoder.0.attention:4,5: encoder.0.attention has no head 5; its heads are 0 to 3",
        "--heads 'encoder.0': this names no heads; write ADDRESS:HEAD,HEAD",
        "help: addresses and heads are those that `attncli build` prints",
    ]


SPEC = """
name: tiny
task: seq2seq
model: {d_model: 12, max_length: 16, attention: {heads: 3}, encoder: {layers: 2}, decoder: {layers: 1}}
tokenizer: characters
data: {train: pairs.tsv, valid: pairs.tsv}
train: {duration: 6, batch: {kind: sequences, size: 2}, ema: 0.5, checkpoints: {every: 2}}
evaluate: {decoding: greedy, every: 3}
"""


def attncli(*words: str) -> str:
    done = CliRunner().invoke(commands, list(words), env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_folder_is_a_run_that_is_scored_inspected_and_trained_on(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("source\ttarget\nabc\t你好\ncab\t好你\n", "utf-8")
    (tmp_path / "tiny.yaml").write_text(SPEC)
    run, out = str(tmp_path / "run"), str(tmp_path / "smaller")
    attncli("train", str(tmp_path / "tiny.yaml"), "--run", run, "--device", "cpu", "-q", "--steps", "4")
    words = ("--heads", "encoder.1.attention:0,2", "--heads", "decoder.0.cross_attention:1", "--out", out)
    found = json.loads(attncli("prune", run, *words, "--json", "--checkpoint", "last"))
    assert found["error"] < 1e-12
    assert (found["before"]["heads"], found["after"]["heads"]) == (12, 9)
    assert found["after"]["parameters"] == found["before"]["parameters"] - 3 * 4 * 12 * 4
    assert found["after"]["flops"] < found["before"]["flops"]
    assert found["quality"]["rows"] == 2
    scored = json.loads(attncli("evaluate", out, "--json"))
    assert scored["metrics"] == found["quality"]["after"]
    assert "decoder.0.cross_attention" in attncli("inspect", out, "--text", "abc", "--target", "你")
    attncli("train", f"{out}/spec.yaml", "--run", out, "--resume", "--device", "cpu", "-q")
    steps = [json.loads(line)["step"] for line in Path(out, "metrics.jsonl").read_text().splitlines()]
    assert max(steps) == 6
    assert min(steps) > 4 or 5 in steps
    again = CliRunner().invoke(commands, ["prune", run, *words])
    assert again.exit_code == 2
    assert "there is a run here already (at step 6)\nhelp: --force replaces it, --out RUN2 writes" in again.stderr


@pytest.mark.parametrize(("name", "rule"), [
    ("no.tsv", "no.tsv: there is no such file"), ("bad.tsv", "bad.tsv:3: 1 column where the first row has 2"),
])  # fmt: skip
def test_data_that_cannot_be_scored_leave_no_run_behind(tmp_path: Path, name: str, rule: str) -> None:
    """So that the same command can be given again with better ones."""
    (tmp_path / "pairs.tsv").write_text("source\ttarget\nabc\t你\ncab\t好\n", "utf-8")
    (tmp_path / "bad.tsv").write_text("source\ttarget\nabc\t你\nab\n", "utf-8")
    (tmp_path / "tiny.yaml").write_text(SPEC)
    run, out = str(tmp_path / "run"), tmp_path / "out"
    attncli("train", str(tmp_path / "tiny.yaml"), "--run", run, "--device", "cpu", "-q", "--steps", "1")
    words = ("--heads", "encoder.0.attention:1", "--out", str(out), "--data", str(tmp_path / name))
    done = CliRunner().invoke(commands, ["prune", run, *words])
    assert (done.exit_code, rule in done.stderr) == (2, True), done.stderr
    assert not out.exists()
