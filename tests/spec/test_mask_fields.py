"""Where masks may read the data, and what the fields of integers must be."""

import pytest

from attncli.errors import SpecError
from attncli.spec.load import load_text

TEXT = """
name: tiny
task: {task}
model: {model}
data: {{train: x.tsv, fields: {fields}}}
"""
ROWS = "{row: {kind: integers}, column: {kind: integers}, part: {kind: integer}}"


def faults(*, mask="full", cross="full", task="classification", fields="{}", encoder=True, decoder=False):
    model = "{d_model: 64, "
    if encoder:
        model += f"encoder: {{attention: {{heads: 2, mask: '{mask}'}}}}, "
    if decoder:
        own = mask if not encoder else "causal"
        reads = f", cross_attention: {{mask: '{cross}'}}" if encoder else ""
        model += f"decoder: {{attention: {{heads: 2, mask: '{own}'}}{reads}}}"
    text = TEXT.format(task=task, model=model.rstrip(", ") + "}", fields=fields)
    try:
        load_text(text)
    except SpecError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "given",
    [
        {"mask": "neighbourhood(3) | k < part", "fields": ROWS},
        {"mask": "same(word)"},
        {"mask": "same(word)", "task": "masked_language_model"},
        {"mask": "same(word)", "cross": "word(k) >= 2", "task": "seq2seq", "decoder": True},
        {"cross": "abs(row(k) - q) < part & column(k) > 0", "task": "seq2seq", "decoder": True, "fields": ROWS},
        {"mask": "causal | prefix", "task": "{kind: language_model, loss_on: answer}", "encoder": False,
         "decoder": True},
        {"mask": "causal | prefix", "task": "language_model", "fields": "{prompt: {column: q}}", "encoder": False,
         "decoder": True},
        {"mask": "causal & k != part", "task": "language_model", "fields": "{part: {kind: integer}}", "encoder": False,
         "decoder": True},
    ],
)  # fmt: skip
def test_these_read_what_there_is(given):
    assert faults(**given) == ""


@pytest.mark.parametrize(
    ("given", "rule", "help"),
    [
        ({"mask": "q < rwo", "fields": "{row: {kind: integer}}"}, "there is no 'rwo' in masks", "did you mean 'row'?"),
        ({"mask": "same(sentence)"}, "there is no 'sentence' in masks",
         "name a column: data.fields.sentence: {kind: integers}"),
        ({"mask": "neighbourhood(3)"}, "there is no 'column' in masks", "data.fields.column: {kind: integers}"),
        ({"mask": "k < row", "fields": "{row: {kind: integers}}"}, "'row' is an integer of each token",
         "write row(q) or row(k)"),
        ({"mask": "row(k) < 2", "fields": "{row: {kind: integer}}"}, "'row' is an integer of the whole sample",
         "write row alone"),
        ({"mask": "causal & same(word)", "task": "language_model", "encoder": False, "decoder": True},
         "'word' of a token that is still to be written is unknown", "take it out of the mask of a causal stack"),
        ({"cross": "word(q) == word(k)", "task": "seq2seq", "decoder": True},
         "the queries are tokens of 'target', and 'word' is told of 'source'", "compare word(k) with a number"),
        ({"cross": "prefix", "task": "seq2seq", "decoder": True}, "'prefix' compares places of one text", "write full"),
        ({"mask": "k < prefix_length"}, "a prefix is the prompt of a language model, and this task has none",
         "write task: {kind: language_model, loss_on: answer}"),
        ({"mask": "causal | prefix", "task": "{kind: language_model, loss_on: all}", "fields": "{prompt: {column: q}}",
          "encoder": False, "decoder": True},
         "'causal | prefix' lets query 0 see key 1, which is still to be written", "write task.loss_on: answer"),
        ({"fields": "{row: {kind: integers}}"}, "no mask reads 'row'", "leave it out"),
        ({"mask": "k < q_length & k != part", "fields": "{part: {kind: integer, tokenizer: words}}"},
         "'part' is integer and no text", "leave tokenizer out"),
        ({"fields": "{text: {kind: integers}}"}, "'text' is the text of the task", "give the field another name"),
        ({"fields": "{word: {kind: integers}}", "mask": "same(word)"}, "'word' is a word of masks", "another name"),
        ({"fields": "{prompt: {column: q}}"}, "classification reads no field 'prompt'", ""),
    ],
)  # fmt: skip
def test_these_do_not(given, rule, help):
    found = faults(**given)
    assert rule in found
    assert help in found
