"""Spans taken away from texts: how many, how long, and that what is read and what is written make the text again."""

import numpy as np
import pytest
import torch

from attncli.data.codec import Codec
from attncli.data.noise import taken_away
from attncli.data.rows import Splits
from attncli.errors import SpecError
from attncli.spec.load import load_text
from attncli.spec.run import Run
from attncli.spec.tasks import Infill, Sentinels
from attncli.streams import IGNORE
from tests.data.test_labels import Listed

SPANS = list(range(900, 1200))
MASK = 4


def drawn(corruption, text, seed, ends=()):
    random = np.random.default_rng(seed)
    return taken_away(text, corruption, mask=MASK, spans=SPANS, ends=ends, random=random)


def joined(read: list[int], written: list[int], signs: list[int] = SPANS) -> list[int]:
    """The text again: each sign of a span replaced by what follows it in what is written."""
    spans: dict[int, list[int]] = {}
    for token in written:
        if token in signs:
            spans[token] = []
            current = spans[token]
        else:
            current.append(token)
    return [token for each in read for token in (spans[each] if each in signs else [each])]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 50, 511])
@pytest.mark.parametrize(("rate", "mean_span"), [(0.15, 3.0), (0.5, 2.0), (0.9, 1.0)])
def test_sentinels_lose_what_was_asked_and_nothing_else(length, rate, mean_span):
    text = [100 + each for each in range(length)]
    corruption = Sentinels(rate=rate, mean_span=mean_span)
    lost, spans = corruption.spans(length)
    for seed in range(5):
        read, written = drawn(corruption, text, seed)
        assert joined(read, written) == text
        assert (len(read), len(written)) == (length - lost + spans, lost + spans)
        assert [token for token in read if token in SPANS] == SPANS[:spans]
    if length == 511 and rate == 0.15:
        assert (lost, spans) == (77, 26)


def test_every_token_of_a_text_may_go():
    counts = np.zeros(20)
    for seed in range(400):
        read, _ = drawn(Sentinels(rate=0.3, mean_span=2.0), list(range(20)), seed)
        counts[[each for each in range(20) if each not in read]] += 1
    assert counts.sum() == 6 * 400
    assert counts[0] == 0 and counts[1:].min() > 20, "a text begins with what stays, as in the released code"


@pytest.mark.parametrize("length", [0, 1, 2, 9, 60])
def test_infill_leaves_one_mask_a_span(length):
    text, lengths = list(range(100, 100 + length)), []
    for seed in range(40):
        read, written = drawn(Infill(rate=0.3, mean_span=3.0), text, seed)
        kept = [token for token in read if token != MASK]
        assert written == text and len(read) <= length
        assert kept == [token for token in text if token in kept] and len(kept) == length - round(length * 0.3)
        lengths.append(len(read) - len(kept))
    if length == 60:
        assert 18 / 3.6 < np.mean(lengths) < 18 / 2.4, "spans of about three tokens"


def test_sentences_are_read_in_another_order():
    text = [10, 11, 99, 12, 99, 13, 14, 15, 99]
    orders = {tuple(drawn(Infill(rate=0.01, permute="sentences"), text, seed, ends={99})[0]) for seed in range(60)}
    assert len(orders) == 6
    assert all(sorted(order) == sorted(text) and order[-1] == 99 for order in orders)


SPEC = """
name: d
task: {kind: denoising, corruption: %s}
model: {d_model: 16, max_length: 24, attention: {heads: 2}, encoder: {layers: 1}, decoder: {layers: 1}}
tokenizer: %s
data: {train: none.txt%s}
"""
TEXTS = [{"text": "the cat sat on the mat. it slept. then it ran!"}, {"text": "a dog"}, {"text": "who? " * 20}]


def codec_of(corruption: str, tokenizer: str = "characters", more: str = "") -> tuple[Run, Codec]:
    run = load_text(SPEC % (corruption, tokenizer, more)).run
    return run, Codec.train(run, Splits(train=Listed(TEXTS)))


@pytest.mark.parametrize("tokenizer", ["{kind: characters, vocabulary: 40}", "bytes", "{kind: words, vocabulary: 30}"])
@pytest.mark.parametrize("corruption", ["sentinels", "{kind: infill, rate: 0.3, permute: sentences}"])
def test_a_batch_reads_what_is_left_and_writes_the_rest(corruption, tokenizer):
    _, codec = codec_of(corruption, tokenizer)
    vocabulary = codec.vocabularies["source"]
    assert codec.sizes.vocabularies["source"] == codec.sizes.vocabularies["target"] == vocabulary.size
    examples = [part for one in codec.encode_many(TEXTS) for part in codec.cut(one)]
    batch = codec.collate(examples, noise=torch.Generator().manual_seed(3))
    source, target, labels = batch["source"], batch["target"], batch["labels"]
    assert source.values.shape[1] <= 24 and target.values.shape[1] <= 24
    for row, example in enumerate(examples):
        text = example.fields["source"]
        read = source.values[row, : source.lengths[row]].tolist()
        written = labels.values[row][labels.values[row] != IGNORE].tolist()
        assert read[-1] == written[-1] == vocabulary.eos
        assert target.values[row, : target.lengths[row]].tolist() == [vocabulary.bos, *written[:-1]]
        if corruption == "sentinels":
            widths = codec.collator.widths(example)
            assert widths == (len(read), len(written)), "plans know the places before the noise is drawn"
            signs = codec.collator.spans
            assert all(vocabulary.pieces([sign])[0].startswith("[SPAN") for sign in signs)
            assert joined(read[:-1], written[:-1], signs) == text
        else:
            assert written[:-1] == text
    again = codec.collate(examples, noise=torch.Generator().manual_seed(3))
    assert all(torch.equal(again[name].values, batch[name].values) for name in batch)


def test_an_id_of_a_span_is_never_that_of_a_text():
    _, codec = codec_of("sentinels", "{kind: characters, vocabulary: 40}")
    assert codec.collator.spans == [codec.vocabularies["source"].size - 1]
    assert "[SPAN0]" not in codec.vocabularies["source"].pieces(codec.encode({"text": "[SPAN0]"}).fields["source"])


REFUSED = {
    "tokenizer": ("data: {train: x.txt, fields: {text: {tokenizer: bytes}}}", "one text, with one tokenizer"),
    "integers": ("data: {train: x.tsv, fields: {row: {kind: integers}}}", "would stand beside others"),
    "no decoder": ("", "denoising needs an encoder and a decoder"),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_meaning_is_refused(data, says):
    model = "{encoder: {layers: 1}, decoder: {layers: 1}}" if data else "{encoder: {layers: 1}}"
    with pytest.raises(SpecError, match=says):
        load_text(f"name: d\ntask: denoising\nmodel: {model}\ntokenizer: words\n{data}\n")
