"""Where a memory of past segments has a meaning: what is said where it has none, and a neighbour that loads."""

import pytest

from attncli.spec.load import load_text
from tests.spec.reports import refused, unmarked, whole

OUT = "leave segment_memory out"


def of(decoder: str, *, task: str = "language_model", rest: str = "") -> str:
    return f"name: x\ntask: {task}\nmodel:\n  decoder: {{max_length: 8, {decoder}}}\n{rest}"


M = "segment_memory: ▸6"


@pytest.mark.parametrize(
    ("text", "says", "help", "old", "new"),
    [
        (of(M + "", rest="data: {train: a.txt}\n"),
         "segment_memory: with packing: none no row goes on where one of the batch before ended",
         "write data.packing: stream, or leave segment_memory out", "a.txt", "a.txt, packing: stream"),
        (of("segment_memory: 6, input: {position: ▸learned}"),
         "position: 'learned' is of a place in its segment, and a token of the memory would stand where one of "
         "the segment does", "write a position of attention, such as transformer_xl or rotary", "learned", "none"),
        (of(M + ", attention: {mask: causal & window(before=3)}"),
         "segment_memory: no query looks farther back than 3 tokens, and the memory holds 6",
         "write segment_memory: 3, or a wider mask", "segment_memory: 6", "segment_memory: 3"),
        (of("segment_memory: 6, attention: {mask: ▸causal & (first(2) | window(before=6))}"),
         "mask: 'causal & (first(2) | window(before=6))' is not the same in every segment of 8 tokens",
         "write a mask of q - k, or one whose period divides max_length", "first(2)", "k % 4 == 0"),
        (of("segment_memory: 6, attention: {kind: ▸retention}"),
         "kind: 'retention' sums up all keys before a query, and forgets none at a segment",
         "leave segment_memory out, or write kind: multi_head", "kind: retention", "sink: zero"),
        (of("segment_memory: 6, attention: {length_temperature: ▸{floor: 4}}"),
         "length_temperature: it counts the tokens of the text, which a segment does not know",
         "leave it out, or segment_memory", "length_temperature: {floor: 4}", "sink: zero"),
        (of("segment_memory: 6, attention: {short_convolution: ▸3}"),
         "short_convolution: queries would be summed over tokens before the segment, whose states a memory "
         "keeps for keys alone", "leave it out, or segment_memory", "short_convolution: 3", "sink: zero"),
    ],
)  # fmt: skip
def test_what_a_memory_owes_its_neighbours(text: str, says: str, help: str, old: str, new: str) -> None:
    assert refused(unmarked(text)) == whole(text, (says, help))
    assert load_text(unmarked(text).replace(old, new)).run.name == "x"


@pytest.mark.parametrize("task", ["seq2seq", "tagging"])
def test_other_tasks_have_no_text_that_goes_on(task: str) -> None:
    stack = "encoder: {segment_memory: 6}" if task == "tagging" else "encoder: {}\n  decoder: {segment_memory: 6}"
    assert "reads no text that goes on in the next batch" in refused(f"name: x\ntask: {task}\nmodel:\n  {stack}\n")


def test_a_window_as_long_as_segment_and_memory_hides_nothing() -> None:
    text = of("segment_memory: 6, attention: {mask: causal & window(before=14)}")
    assert "window(before=14)" in refused(text)
    load_text(text.replace("14", "12"))
