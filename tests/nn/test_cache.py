"""Decoding with a cache gives what the whole text gives, however the text is cut, moved about or forgotten."""

import pytest
import torch
from torch import Tensor

from attncli.nn.cache import Cache, KeyValue
from attncli.nn.model import Model
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import SOURCES, TARGETS, batch, build, recurrent, tiny, transformer, writers

WRITERS = writers()
every_writer = pytest.mark.parametrize("spec", WRITERS.values(), ids=WRITERS.keys())
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
ROWS = (0, 1, 3)
TEXTS = [TARGETS[1], [2, 5, 7, 6, 18, 4], [2, 16, 6, 9, 9, 3]]  # of one length, so that every chunk has every row


def whole(model: Model, texts: list[list[int]], rows: tuple[int, ...] = ROWS) -> Tensor:
    return model({"source": stream([SOURCES[row] for row in rows], pad=0), "target": stream(texts, pad=0)})


def sources() -> dict[str, object]:
    return {"source": batch(*ROWS)["source"]}


def chunk(cache: Cache, texts: list[list[int]], start: int, end: int) -> Tensor:
    """Places start to end of every text, as a stream that continues the cache."""
    values = torch.tensor([text[start:end] for text in texts])
    one = stream(values.tolist(), pad=0)
    positions = torch.arange(start, end).expand_as(values)
    return type(one)(values, one.lengths, positions, torch.zeros_like(values), padded=False, plain=start == 0)


@every_writer
@pytest.mark.parametrize("cuts", [(1, 2, 3, 4, 5, 6), (3, 4, 6), (6,)], ids=["tokens", "chunks", "at once"])
@torch.no_grad()
def test_cached_decoding_equals_the_whole_text(spec, cuts):
    model = build(spec)
    expected = whole(model, TEXTS)
    cache, logits, start = model.start(sources(), capacity=6), [], 0
    for end in cuts:
        logits.append(model.step(chunk(cache, TEXTS, start, end), cache))
        start = end
    torch.testing.assert_close(torch.cat(logits, 1), expected, **CLOSE)
    assert cache.length == 6


@every_writer
@torch.no_grad()
def test_prompts_of_unlike_length_padded_on_the_left(spec):
    model = build(spec)
    prompts, rest = [[2, 7], [2, 11, 18, 13], [2]], [[9, 4], [15, 6], [16, 5]]
    cache = model.start(sources(), capacity=8)
    first = model.step(stream(prompts, pad=0, left=True), cache)
    later = [model.step(cache.next(torch.tensor([[more[i]] for more in rest])), cache) for i in range(2)]
    for row, (prompt, more) in enumerate(zip(prompts, rest, strict=True)):
        alone = whole(model, [prompt + more], (ROWS[row],))[0]
        torch.testing.assert_close(first[row, -len(prompt) :], alone[: len(prompt)], **CLOSE)
        torch.testing.assert_close(torch.cat([one[row] for one in later]), alone[len(prompt) :], **CLOSE)


@every_writer
@torch.no_grad()
def test_reordered_rows_continue_the_rows_they_came_from(spec):
    """As beams do: two rows for each source, of which some die and others split; then fewer rows."""
    model = build(spec)
    cache = model.start(sources(), rows=2, capacity=6)
    texts = [text[:2] for text in TEXTS for _ in range(2)]
    texts = [[text[0], text[1] + i % 2] for i, text in enumerate(texts)]
    of = [row for row in ROWS for _ in range(2)]
    model.step(chunk(cache, texts, 0, 2), cache)
    for index, tokens in (([1, 0, 3, 3, 4, 4], [7, 8, 9, 10, 11, 12]), ([5, 2, 0, 1], [4, 5, 6, 7]), ([3, 3], [1, 2])):
        cache.reorder(torch.tensor(index))
        texts = [texts[i] + [token] for i, token in zip(index, tokens, strict=True)]
        of = [of[i] for i in index]
        logits = model.step(cache.next(torch.tensor(tokens).unsqueeze(1)), cache)
        torch.testing.assert_close(logits[:, 0], whole(model, texts, tuple(of))[:, -1], **CLOSE)


@every_writer
@torch.no_grad()
def test_cropped_texts_go_on_from_where_they_were_cut(spec):
    model = build(spec)
    cache = model.start(sources(), capacity=6)
    model.step(chunk(cache, TEXTS, 0, 3), cache)
    cache.reorder(torch.tensor([2, 0]))
    texts, of = [TEXTS[2], TEXTS[0]], (ROWS[2], ROWS[0])
    model.step(chunk(cache, texts, 3, 5), cache)
    cache.crop(2)
    assert cache.length == 2
    other = [[*texts[0][:2], 8, 9], [*texts[1][:2], 10, 5]]
    logits = model.step(chunk(cache, other, 2, 4), cache)
    torch.testing.assert_close(logits, whole(model, other, of)[:, 2:], **CLOSE)
    cache.crop(0)
    assert cache.length == 0
    torch.testing.assert_close(model.step(chunk(cache, other, 0, 4), cache), whole(model, other, of), **CLOSE)


@pytest.mark.parametrize("spec", [transformer(), recurrent()], ids=["transformer", "recurrent"])
@torch.no_grad()
def test_rows_may_be_chosen_before_the_first_token(spec):
    model = build(spec)
    cache = model.start(sources(), capacity=6)
    cache.reorder(torch.tensor([2, 1]))
    texts = [TEXTS[2], TEXTS[1]]
    torch.testing.assert_close(model.step(chunk(cache, texts, 0, 6), cache), whole(model, texts, (3, 1)), **CLOSE)


@torch.no_grad()
def test_a_language_model_needs_no_source():
    for decoder in (
        "{d_model: 12, layers: 2, attention: {heads: 2}, feedforward: {d_ff: 10}}",
        "{kind: recurrent, cell: lstm, d_hidden: 8, layers: 2}",
        "{kind: recurrent, d_hidden: 8, readout: {kind: dense, d_hidden: 5}}",
    ):
        model = build(tiny(f"{{tie_embeddings: none, decoder: {decoder}}}", "language_model"))
        text = stream([[2, 7, 8, 9], [2, 11, 12, 4]], pad=0)
        cache = model.start({}, capacity=4)
        one = [model.step(cache.next(text.values[:, i : i + 1]), cache) for i in range(4)]
        torch.testing.assert_close(torch.cat(one, 1), model({"text": text}), **CLOSE)


@torch.no_grad()
def test_bytes_count_the_room_that_is_taken():
    model = build(transformer(heads=catalogue.HEADS["grouped"]))
    cache = model.start(sources(), rows=2, capacity=9)
    longest = max(len(SOURCES[row]) for row in ROWS)
    read = 2 * 6 * 2 * longest * (6 + 6) * 8  # layers, rows, kv heads, places, widths of key and value, float64
    assert cache.bytes == read
    model.step(chunk(cache, [text for text in TEXTS for _ in range(2)], 0, 1), cache)
    own = 2 * 6 * 2 * 9 * (6 + 6) * 8
    assert cache.bytes == read + own
    cache.crop(0)
    assert cache.bytes == read + own, "the room stays"
    cache.reorder(torch.tensor([0, 1, 2]))
    assert cache.bytes == (read + own) // 2


@torch.no_grad()
def test_bytes_of_a_recurrent_past_count_every_step():
    model = build(recurrent(writer=catalogue.WRITERS["Bahdanau"], cell="lstm"))
    cache = model.start(sources(), capacity=6)
    longest = max(len(SOURCES[row]) for row in ROWS)
    read = 3 * longest * (9 + 16) * 8  # rows, places, the score's hidden width and the encoder's states, float64
    step = 3 * (2 * 2 * 8 + 16) * 8  # rows; two layers of state and cell, and the context that is fed
    assert cache.bytes == read + step
    model.step(chunk(cache, TEXTS, 0, 4), cache)
    assert cache.bytes == read + 5 * step


def test_a_cache_refuses_more_than_its_capacity():
    cache = KeyValue(3)
    cache.append(torch.zeros(2, 1, 2, 5), torch.zeros(2, 1, 2, 4))
    with pytest.raises(AssertionError, match="4 tokens in a cache of 3"):
        cache.append(torch.zeros(2, 1, 2, 5), torch.zeros(2, 1, 2, 4))


def test_room_is_taken_once():
    cache = KeyValue(4)
    first, _ = cache.append(torch.ones(2, 1, 1, 5), torch.ones(2, 1, 1, 3))
    second, _ = cache.append(torch.ones(2, 1, 2, 5), torch.ones(2, 1, 2, 3))
    assert first.data_ptr() == second.data_ptr()
    assert second.shape == (2, 1, 3, 5)
