"""One text a sentence, one token a step: greedy decoding, and the loop that sampling shares with it."""

from collections.abc import Callable

from torch import Tensor

from attncli.decoding.writing import Hypothesis, Signs, Writing, begin, index_of
from attncli.nn.model import Model
from attncli.nn.view import Tap
from attncli.spec.training import Greedy
from attncli.streams import Batch

Choose = Callable[[Tensor, list[int], int], Tensor]
"""(log-probabilities (r c), sentence of each row, step) -> the token (r) that each row writes."""


def greedy(
    model: Model, batch: Batch, decoding: Greedy, *, signs: Signs, max_length: int, tap: Tap | None
) -> list[list[Hypothesis]]:
    """The likeliest token at every step, of equals the one with the lowest id; the score is the log-probability."""
    writing = begin(
        model, batch, rows=1, signs=signs, wanted=decoding.max_length, max_length=max_length, tap=tap
    )  # fmt: skip
    return write(writing, lambda scores, sentences, step: scores.argmax(-1))


def write(writing: Writing, choose: Choose) -> list[list[Hypothesis]]:
    """Write one text for each sentence with the tokens that `choose` takes, until EOS or the limit."""
    texts = [_Text() for _ in writing.limits]
    running = list(range(len(texts)))
    step = 0
    while running:
        scores = writing.log_probabilities()
        chosen = choose(scores, running, step)
        gains = scores.gather(-1, chosen.unsqueeze(-1)).squeeze(-1).tolist()
        going = []
        for row, (sentence, token, gain) in enumerate(zip(running, chosen.tolist(), gains, strict=True)):
            if texts[sentence].takes(token, gain, row, writing.signs.eos) and step + 1 < writing.limits[sentence]:
                going.append(row)
        running = [running[row] for row in going]
        if running:
            rows = index_of(going, writing.device)
            writing.append(chosen[rows], rows)
        step += 1
    return [[text.hypothesis()] for text in texts]


class _Text:
    """One text as it grows."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.rows: list[int] = []
        self.log_probability = 0.0
        self.finished = False

    def takes(self, token: int, gain: float, row: int, eos: int) -> bool:
        """Write a token; false where it ends the text."""
        self.rows.append(row)
        self.log_probability += gain
        self.finished = token == eos
        if not self.finished:
            self.tokens.append(token)
        return not self.finished

    def hypothesis(self) -> Hypothesis:
        return Hypothesis(self.tokens, self.log_probability, self.log_probability, self.finished, self.rows)
