"""Texts in two parts: what is read, and that the label says whether the second follows the first."""

from pathlib import Path

import numpy as np
import pytest
import torch

from attncli.data.batches import Batches
from attncli.data.codec import Codec
from attncli.data.pairs import NEXT, OTHER, paired
from attncli.data.ragged import Ragged
from attncli.data.rows import Splits
from attncli.errors import SpecError
from attncli.nn.model import build_model
from attncli.spec.load import load_spec, load_text
from attncli.spec.sizes import sizes_of
from attncli.spec.tasks import SentencePair
from attncli.streams import IGNORE
from attncli.training.steps import Stepper
from tests.data.test_labels import Listed

BOS, EOS, STOP = 2, 3, 99
TEXTS = [list(range(100 * row + 100, 100 * row + 100 + length)) for row, length in enumerate((6, 1, 9, 0, 14, 4, 8))]
FRAMED = Ragged.of([[BOS, *text, EOS] for text in TEXTS])


def drawn(negatives: str, seed: int, texts: Ragged = FRAMED, room: int = 20, ends=()):
    random = np.random.default_rng(seed)
    return paired(
        texts, SentencePair(stack="e", negatives=negatives), bos=BOS, eos=EOS, ends=ends, room=room, random=random
    )


@pytest.mark.parametrize("negatives", ["random", "swapped"])
def test_the_label_says_whether_the_second_part_follows(negatives):
    labels, cuts = [], set()
    for seed in range(60):
        made = drawn(negatives, seed)
        for row, text in enumerate(TEXTS):
            ids, (label,) = made.text.row(row), made.labels.row(row)
            first, second = ids[1 : (stop := ids.index(EOS))], ids[stop + 1 : -1]
            assert (ids[0], ids[-1], ids.count(EOS)) == (BOS, EOS, 2) and len(ids) <= 20
            assert made.segments.row(row) == [0] * (stop + 1) + [1] * (len(ids) - stop - 1)
            assert (label == NEXT) == (first + second == text)
            if label == OTHER and negatives == "swapped":
                assert second + first == text and first and second
            elif label == OTHER:
                other = next(text for text in TEXTS if second[0] in text)
                assert first == text[: len(first)] and second[0] // 100 != first[0] // 100
                assert second == other[other.index(second[0]) :][: len(second)]
            labels += [label] * (len(text) > 1)
            cuts.add((row, len(first))) if label == NEXT else None
    assert 0.4 < np.mean(labels) < 0.6
    found = {cut for row, cut in cuts if row == 2}
    assert found <= set(range(1, 9)) and len(found) > 5, "a text without sentences is cut anywhere"


def test_texts_are_cut_where_a_sentence_ends():
    texts = Ragged.of([[BOS, 10, 11, STOP, 12, 13, 14, STOP, 15, STOP, EOS]])
    firsts = {drawn("random", seed, texts, ends={STOP}).text.row(0).index(EOS) - 1 for seed in range(30)}
    assert firsts == {3, 7}


def test_another_part_is_cut_where_both_would_not_fit():
    texts = Ragged.of([[BOS, *range(100, 116), EOS], [BOS, *range(200, 216), EOS]])
    found = [drawn("random", seed, texts, room=19) for seed in range(20)]
    assert max(int(each.text.lengths.max()) for each in found) == 19
    assert any(OTHER in each.labels.values for each in found)


SPEC = """
name: bert
task: {task}
model:
  dropout: 0
  encoder: {{d_model: 16, layers: 1, max_length: 24, attention: {{heads: 2}},
            input: {{position: learned, segments: 2}}}}
tokenizer: characters
data: {{train: none.txt}}
train: {{batch: {{kind: sequences, size: 4, accumulate: {parts}}}, learning_rate: 1.0e-3}}
"""
BOTH = "[masked_language_model, {kind: sentence_pair, negatives: swapped, pooling: {kind: cls, dense: tanh}%s}]"
ROWS = [
    {"text": "the cat sat. it slept. then it ran away!"},
    {"text": "who? me?"},
    {"text": "a dog. a cat."},
    {"text": "b"},
]


def made(task: str, parts: int = 1):
    run = load_text(SPEC.format(task=task, parts=parts)).run
    codec = Codec.train(run, Splits(train=Listed(ROWS)))
    return run, codec, Batches(Listed(ROWS), codec, run.train.batch, 0)


def test_both_tasks_read_one_text_and_add_their_mean_losses():
    run, codec, batches = made(BOTH % ", weight: 0.5")
    torch.manual_seed(0)
    model = build_model(run, codec.sizes).double()
    batch = batches.batch(0, 0)
    assert {name: each.values.shape[1] for name, each in batch.items()}["sentence_pair"] == 1
    text, hidden = batch["text"], batch["labels"].values
    assert text.values.shape[1] <= 24
    assert (text.carried["segment"][text.real] >= 0).all() and text.carried["segment"].max() == 1
    assert ((hidden != IGNORE) <= text.real).all()
    losses = model.losses(batch)
    logits = model.others["sentence_pair"](model.states(batch))
    pair = torch.nn.functional.cross_entropy(logits, batch["sentence_pair"].values[:, 0])
    assert (losses.costs["sentence_pair"] / losses.count).item() == pytest.approx(0.5 * pair.item())
    assert losses.loss.item() == pytest.approx((losses.nll + losses.costs["sentence_pair"]).item())
    losses.loss.backward()
    assert all(p.grad.abs().max() > 0 for name, p in model.named_parameters() if name.startswith("others"))


def test_a_step_in_parts_trains_both_heads():
    run, codec, batches = made(BOTH % "", parts=2)
    stepper = Stepper(build_model(run, codec.sizes), run.train, torch.device("cpu"))
    before = stepper.model.others["sentence_pair"].output.weight.detach().clone()
    stepper.gradients(batches.batch(0, 0))
    stepper.update(0.01, 1)
    assert not torch.equal(before, stepper.model.others["sentence_pair"].output.weight)


def test_the_task_alone_has_one_label_a_text():
    _, codec, batches = made("{kind: sentence_pair, negatives: random}")
    batch = batches.batch(0, 0)
    assert sorted(batch) == ["labels", "text"] and batch["labels"].values.shape[1] == 1
    assert codec.labels == ("next", "random") and codec.sizes.labels == 2
    asked = codec.segmented(codec.encode({"text": "a dog."}))
    assert asked.carried["segment"] == [0] * 6


REFUSED = {
    "[sentence_pair, masked_language_model]": "expected",
    "[masked_language_model, sentence_pair, sentence_pair]": "stands here twice",
    "[{kind: classification, classes: 2}, sentence_pair]": "shares its texts with a masked_language_model",
    "[{kind: masked_language_model, weight: 2}, sentence_pair]": "the first task has the weight 1",
    "{kind: masked_language_model, weight: 2}": "the first task has the weight 1",
    "masked_language_model\nbeside: [sentence_pair]": "there is no key 'beside' here",
}


@pytest.mark.parametrize(("task", "says"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_has_no_meaning_is_refused(task, says):
    with pytest.raises(SpecError, match=says):
        load_text(f"name: s\ntask: {task}\nmodel: {{encoder: {{}}}}\n")


@pytest.mark.parametrize("task", [BOTH % "", "sentence_pair"])
def test_packed_rows_have_no_place_for_a_label_of_a_pair(task):
    text = f"name: s\ntask: {task}\nmodel: {{encoder: {{}}}}\ndata: {{train: x.txt, packing: documents}}\n"
    with pytest.raises(SpecError, match="one label a row"):
        load_text(text)


def test_bert_has_its_published_parameters():
    run = load_spec(Path(__file__).parents[2] / "specs" / "bert-base.yaml", ()).run
    model = build_model(run, sizes_of(run, ("text",)), device="meta")
    assert sum(p.numel() for p in model.parameters()) == 110_106_428, "BertForPreTraining of transformers"
