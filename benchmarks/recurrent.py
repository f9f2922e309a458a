"""A training step of recurrent encoder-decoders, beside JoeyNMT and a plain loop in torch.

    python -m benchmarks.recurrent

GRUs of 256 (the encoder both ways), vocabulary 4,000, 32 pairs of 32 + 32 tokens, no dropout, AdamW. Two rows: additive
attention with input feeding, where every step waits for the one before it; and Luong's general attention without, where
torch's GRU runs over all steps, and one attention serves all of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.model import build_model
from attncli.spec.load import load_text
from attncli.spec.sizes import Sizes
from attncli.streams import stream
from attncli.training.machine import use_threads
from attncli.training.steps import Stepper
from benchmarks.harness import Row, contestant, interleaved, main, median

VOCABULARY, D, BATCH, LENGTH = 4000, 256, 32, 32
SPEC = """
name: recurrent
task: {kind: seq2seq, label_smoothing: 0}
model:
  d_hidden: 256
  max_length: 64
  dropout: 0
  tie_embeddings: none
  input: {d_embedding: 256}
  encoder: {kind: recurrent, direction: both}
  decoder: {kind: recurrent, query: state, bridge: {kind: dense, of: final}, readout: {kind: dense, d_hidden: 256}}
tokenizer: characters
train: {clip: none, learning_rate: 1e-3}
"""
ADDITIVE = (
    "model.decoder.cross_attention.score={kind: additive, d_hidden: 256}",
    "model.decoder.input_feeding=readout",
)
GENERAL = ("model.decoder.cross_attention.score=general", "model.decoder.input_feeding=none")


def flops(*, additive: bool) -> float:
    """Products of one step, three times those of the forward pass; the additive score's tanh is not counted."""
    reads = 2 * (D * 3 * D + D * 3 * D)
    cell = (2 * D if additive else D) * 3 * D + D * 3 * D
    scores = D * D + LENGTH * D if additive else 2 * D * D + LENGTH * 2 * D
    writes = cell + scores + LENGTH * 2 * D + 3 * D * D + D * VOCABULARY
    keys = 2 * D * D if additive else 0
    return 3 * 2 * BATCH * LENGTH * (reads + writes + keys)


def data() -> tuple[Tensor, Tensor, Tensor]:
    """Sources, target inputs and labels."""
    torch.manual_seed(0)
    source, target = torch.randint(5, VOCABULARY, (BATCH, LENGTH)), torch.randint(5, VOCABULARY, (BATCH, LENGTH + 1))
    return source, target[:, :-1].contiguous(), target[:, 1:].contiguous()


def ours(*overrides: str) -> Callable[[], object]:
    """attncli's stepper."""
    run = load_text(SPEC, overrides).run
    torch.manual_seed(0)
    model = build_model(run, Sizes({"source": VOCABULARY, "target": VOCABULARY})).train()
    stepper = Stepper(model, run.train, torch.device("cpu"))
    parts = zip(("source", "target", "labels"), data(), strict=True)
    batch, steps = {name: stream(part.tolist(), pad=0) for name, part in parts}, iter(range(1, 10**9))

    def step() -> None:
        stepper.gradients(batch)
        stepper.update(1e-3, next(steps))

    return step


def stepping(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], object]:
    """The loop of a peer."""
    optimizer = torch.optim.AdamW(model.train().parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def joeynmt(attention: str, *, feeding: bool) -> Callable[[], object]:
    """JoeyNMT."""
    from types import SimpleNamespace

    from joeynmt.model import build_model as build
    from joeynmt.vocabulary import Vocabulary

    source, entered, labels = data()
    special = SimpleNamespace(
        unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>", sep_token=None, unk_id=0, pad_id=1,
        bos_id=2, eos_id=3, sep_id=None, lang_tags=[],
    )  # fmt: skip
    vocabulary = Vocabulary([f"w{number}" for number in range(VOCABULARY - 4)], special)
    part = dict(
        type="recurrent", rnn_type="gru", embeddings=dict(embedding_dim=D, dropout=0.0), hidden_size=D, dropout=0.0,
        num_layers=1, freeze=False,
    )  # fmt: skip
    writes = dict(hidden_dropout=0.0, input_feeding=feeding, init_hidden="bridge", attention=attention)
    whole = dict(initializer="xavier_uniform", tied_embeddings=False, tied_softmax=False)
    model = build(
        whole | dict(encoder=part | dict(bidirectional=True), decoder=part | writes), src_vocab=vocabulary,
        trg_vocab=vocabulary,
    )  # fmt: skip
    model.loss_function = ("crossentropy", 0.0)
    read, written = (torch.ones(BATCH, 1, LENGTH, dtype=torch.bool) for _ in range(2))
    lengths = torch.full((BATCH,), LENGTH)
    given = dict(
        src=source, src_length=lengths, src_mask=read, trg_input=entered, trg=labels, trg_mask=written,
        trg_length=lengths,
    )  # fmt: skip
    return stepping(model, lambda: model(return_type="loss", **given)[0] / labels.numel())


class Plain(nn.Module):
    """Additive attention with input feeding as one writes it by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(VOCABULARY, D), nn.Embedding(VOCABULARY, D)
        self.encoder = nn.GRU(D, D, bidirectional=True, batch_first=True)
        self.bridge, self.key = nn.Linear(2 * D, D), nn.Linear(2 * D, D, bias=False)
        self.query, self.score = nn.Linear(D, D, bias=False), nn.Linear(D, 1, bias=False)
        self.cell, self.readout = nn.GRUCell(2 * D, D), nn.Linear(3 * D, D)
        self.output = nn.Linear(D, VOCABULARY, bias=False)

    def forward(self) -> Tensor:
        source, entered, labels = data()
        memory, last = self.encoder(self.source(source))
        state = torch.tanh(self.bridge(torch.cat((last[0], last[1]), 1)))
        keys, words, fed, made = self.key(memory), self.target(entered), torch.zeros_like(state), []
        for place in range(LENGTH):
            state = self.cell(torch.cat((words[:, place], fed), 1), state)
            scores = self.score(torch.tanh(self.query(state).unsqueeze(1) + keys)).squeeze(2)
            context = torch.bmm(scores.softmax(1).unsqueeze(1), memory).squeeze(1)
            fed = torch.tanh(self.readout(torch.cat((state, context), 1)))
            made.append(fed)
        return F.cross_entropy(self.output(torch.stack(made, 1)).flatten(0, 1), labels.flatten())


def check(overrides: tuple[str, ...]) -> str:
    """Steps in one go, or as training runs them, beside steps taken one by one with a cache."""
    run = load_text(SPEC, overrides).run
    torch.manual_seed(0)
    model = build_model(run, Sizes({"source": VOCABULARY, "target": VOCABULARY})).eval()
    source, entered, _ = (stream(part.tolist(), pad=0) for part in data())
    with torch.no_grad():
        whole = model({"source": source, "target": entered})
        cache, steps = model.start({"source": source}, capacity=LENGTH), []
        for place in range(LENGTH):
            one = entered.values[:, place : place + 1]
            token = stream(one.tolist(), pad=0)
            token.positions.fill_(place)
            steps.append(model.step(token, cache))
    return f"{float((whole - torch.cat(steps, 1)).abs().max()):.0e} apart"


def row(name: str, overrides: tuple[str, ...], peers: dict[str, Callable[[], Callable[[], object]]], wanted: float,
        *, quick: bool) -> None:  # fmt: skip
    """Measure one row."""
    made = Row(name, "GRU 256, 4,000 ids, 32 x (32+32) tokens", "target tokens/s")
    works: dict[str, Callable[[], object]] = {"attncli": ours(*overrides)}
    for peer, make in peers.items():
        with contestant(peer, made.notes):
            works[peer] = make()
    with contestant("check", made.notes):
        made.checks["logits, beside those of single steps with a cache"] = check(overrides)
    times, made.peak = interleaved(works, made.notes, rounds=5 if quick else 15)
    made.values = {peer: BATCH * LENGTH / median(took) for peer, took in times.items()}
    work = flops(additive=overrides is ADDITIVE)
    made.shares = {peer: work / median(took) / made.peak for peer, took in times.items()}
    for peer in times:
        if peer != "attncli":
            ratio = made.values["attncli"] / made.values[peer]
            made.ratios[peer] = (ratio, wanted if peer == "JoeyNMT" else None)
    made.tell()


def measure(quick: bool) -> None:
    """The rows."""
    use_threads(None)
    plain = Plain()
    row(
        "GRU, additive attention, input feeding", ADDITIVE,
        {"JoeyNMT": lambda: joeynmt("bahdanau", feeding=True), "plain loop": lambda: stepping(plain, plain.forward)},
        1.5, quick=quick,
    )  # fmt: skip
    row(
        "GRU, Luong's attention, no input feeding", GENERAL, {"JoeyNMT": lambda: joeynmt("luong", feeding=False)}, 1.8,
        quick=quick,
    )  # fmt: skip


if __name__ == "__main__":
    main(measure)
