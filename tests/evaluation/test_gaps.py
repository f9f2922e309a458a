"""Texts with gaps: their ids and the words of these, and what a model that reads carried numbers answers to them."""

import pytest

from attncli.data.codec import Codec, Fault
from attncli.data.rows import Splits
from attncli.errors import InputError, SpecError
from attncli.evaluation.answers import Answering
from attncli.evaluation.gaps import gapped
from attncli.nn.model import build_model
from attncli.spec.load import load_text
from tests.evaluation.made import Listed

SPEC = """
name: gaps
task: {task}
model: {{{stack}: {{d_model: 8, layers: 1, max_length: 32, attention: {{heads: 2, mask: "{mask}"}}}}}}
tokenizer: {tokenizer}
data: {{train: none.tsv{fields}}}
"""
TEXTS = ["a big, big dog runs", "the dog saw a cat"]
PARTS = ", fields: {text: {column: [a, b]}}"


def answering(
    *, mask: str, task: str = "masked_language_model", stack: str = "encoder", fields: str = "",
    tokenizer: str = "characters",
) -> Answering:  # fmt: skip
    run = load_text(SPEC.format(task=task, stack=stack, mask=mask, fields=fields, tokenizer=tokenizer)).run
    second = {"text 1": "b c"} if fields == PARTS else {}
    codec = Codec.train(run, Splits(train=Listed([{"text": text, "part": "1", **second} for text in TEXTS])))
    return Answering(build_model(run, codec.sizes).eval(), codec, run, lambda batch, *, numbers: [])


@pytest.mark.parametrize("tokenizer", ["characters", "words", "bytes", "bpe", "wordpiece", "unigram"])
def test_tokens_around_a_gap_stand_in_the_words_that_they_stood_in(tokenizer: str) -> None:
    found = answering(mask="same(word)", tokenizer=tokenizer)
    vocabulary, kind = found.codec.vocabularies["text"], found.run.tokenizer_of("text")
    for text in TEXTS:
        ids, words = gapped(text, vocabulary, kind)
        assert (ids, words) == (vocabulary.encode(text), vocabulary.words_of([text])[0])
    for text, mask in (("a big, [MASK] dog runs", 2), ("[MASK] big, big dog runs", 0), ("a big, big dog [MASK]", 4),
                       ("a big, b[MASK] dog runs", 2)):  # fmt: skip
        ids, words = gapped(text, vocabulary, kind)
        assert words == sorted(words)
        assert len(ids) == len(words)
        assert [word for token, word in zip(ids, words, strict=True) if token == vocabulary.mask] == [mask]
        for word, written in enumerate(text.split()):
            if "[MASK]" not in written:
                own = [token for token, at in zip(ids, words, strict=True) if at == word]
                assert vocabulary.decode(own).strip() == written


def test_a_gap_is_filled_by_what_its_word_shows() -> None:
    found = answering(mask="same(word)")
    one, other, beyond = found.answer(["a b[MASK]g dog", "a b[MASK]d dog", "a b[MASK]g cat"])
    assert one.details != other.details, "another letter of the same word"
    assert one.details == beyond.details, "a letter of another word"
    example = found._examples(["ab [MASK]"])[0]
    assert not isinstance(example, Fault)
    assert example.carried == {"word": [0, 0, 0, 1]}, "a space belongs to the word before it"


@pytest.mark.parametrize(("task", "stack", "mask", "kind"), [
    ("masked_language_model", "encoder", "same(part)", "integers"),
    ("masked_language_model", "encoder", "k != part", "integer"),
    ("language_model", "decoder", "causal & k != part", "integer"),
    ("denoising", "encoder", "k != part", "integer"),
    ("sentence_pair", "encoder", "k != part", "integer"),
])  # fmt: skip
def test_numbers_that_a_text_alone_does_not_give_are_asked_for(task: str, stack: str, mask: str, kind: str) -> None:
    decoder = {"denoising": "decoder: {layers: 1}, d_model: 8, encoder"}.get(task, stack)
    found = answering(mask=mask, task=task, stack=decoder, fields=f", fields: {{part: {{kind: {kind}}}}}")
    with pytest.raises(InputError, match="text 1: the masks of this model read 'part', which is not given") as caught:
        found.answer(["a [MASK] dog"])
    assert "give rows with a column for it, as to evaluate --data and inspect --file" in str(caught.value)


def test_parts_of_a_text_are_told_apart_by_masks() -> None:
    found = answering(mask="same(segment)", fields=PARTS)
    one, other = found.answer(["a [MASK]\tdog", "a [MASK]\tcat"])
    assert one.output.count("\t") == 1
    assert one.details == other.details, "the second part is not seen from the first"
    both = answering(mask="full", fields=PARTS).answer(["a [MASK]\tdog", "a [MASK]\tcat"])
    assert both[0].details != both[1].details


@pytest.mark.parametrize("task", ["masked_language_model", "{kind: tagging, tags: 2}"])
def test_a_text_of_one_part_has_no_segments(task: str) -> None:
    with pytest.raises(SpecError, match="mask: 'segment' is the part of a text, and each text is one part"):
        answering(mask="same(segment)", task=task)
