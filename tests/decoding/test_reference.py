"""Beam search against a plain one, which reads every text whole at every step and never ends before the limit."""

from itertools import pairwise

import pytest
import torch

from attncli.decoding import decode
from attncli.nn.model import Model
from attncli.spec.training import Beam
from attncli.streams import stream
from tests.nn.models import batch, build, transformer

PAD, BOS, EOS = 0, 2, 3
NEAR = 1e-4
"""By so much scores may differ; texts that are ranked closer may change places."""


def plain(model: Model, source: list[int], search: Beam) -> list[tuple[float, tuple[int, ...]]]:
    """Scores and texts, EOS among them, best first."""
    assert search.max_length is not None
    running: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    found: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, search.max_length + 1):
        barred = {PAD, BOS} | ({EOS} if length <= search.min_length else set())
        offers = []
        for total, text in running:
            read = {"source": stream([source], pad=PAD), "target": stream([[BOS, *text]], pad=PAD)}
            gains = model(read)[0, -1].double().log_softmax(-1).tolist()
            offers += [(total + gain, (*text, token)) for token, gain in enumerate(gains) if token not in barred]
        offers.sort(reverse=True)
        ended = [offer for offer in offers[: search.size] if offer[1][-1] == EOS]
        running = [offer for offer in offers if offer[1][-1] != EOS][: search.size]
        cut = running if length == search.max_length else []
        found += [(total / length**search.length_penalty, text) for total, text in ended + cut]
    return sorted(found, reverse=True)[: search.n_best]


@pytest.mark.parametrize(("penalty", "min_length"), [(-0.5, 0), (0.0, 3), (1.0, 0), (2.0, 0)])
@torch.no_grad()
def test_scores_are_those_of_a_plain_search_and_so_are_texts_that_do_not_tie(penalty: float, min_length: int) -> None:
    model = build(transformer(position="alibi"), dtype=torch.float32)
    model.head.output.weight *= 3  # so that some texts are much likelier than others
    ends = torch.zeros(len(model.head.output.weight))
    ends[EOS] = 2.0  # … and some end
    model.head.output.bias = torch.nn.Parameter(ends)
    read = batch()["source"]
    search = Beam(size=4, n_best=4, max_length=7, length_penalty=penalty, min_length=min_length)
    texts = decode(model, {"source": read}, search, bos=BOS, eos=EOS, pad=PAD, max_length=32)
    ended = 0
    for values, real, hypotheses in zip(read.values, read.real, texts, strict=True):
        expected = plain(model, values[real].tolist(), search)
        assert [h.score for h in hypotheses] == pytest.approx([score for score, _ in expected], abs=NEAR)
        gaps = [a - b for (a, _), (b, _) in pairwise(expected)]
        for place, (h, (_, text)) in enumerate(zip(hypotheses, expected, strict=True)):
            if all(gap > NEAR for gap in gaps[max(0, place - 1) : place + 1]):
                assert (*h.tokens, *[EOS] * h.finished) == text
            ended += h.finished
    assert 0 < ended < 4 * len(texts) or penalty, "some texts end by themselves, and some at the limit"
    assert ended
