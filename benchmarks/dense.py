"""A training step where nothing is padded, beside a hand-tuned loop in plain torch and the peers.

    python -m benchmarks.dense

3 + 3 layers, d 256, 8 heads, ff 1,024, vocabulary 8,000, 32 pairs of 48 + 48 tokens, no dropout, pre-norm, tied tables,
AdamW. attncli runs its own stepper, the peers run loss, gradient and update. The same
step compiled is a row of its own, with the seconds that compiling takes and the step from which on it pays.
"""

import time
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

VOCABULARY, D, HEADS, LAYERS, FF, BATCH, LENGTH = 8000, 256, 8, 3, 1024, 32, 48
SPEC = """
name: dense
task: {kind: seq2seq, label_smoothing: 0}
model:
  d_model: 256
  max_length: 64
  dropout: 0
  norm: layer_norm
  attention: {heads: 8, bias: all}
  feedforward: {kind: relu, d_ff: 1024, bias: true}
  input: {position: none}
  encoder: {layers: 3, attention: {position: none}}
  decoder: {layers: 3, attention: {position: none}}
tokenizer: characters
train: {clip: none, learning_rate: 1e-3}
"""
Loss = Callable[[], Tensor]


class Attention(nn.Module):
    """Fused projections around torch's fused attention."""

    def __init__(self, cross: bool) -> None:
        super().__init__()
        self.query = nn.Linear(D, D) if cross else None
        self.rest = nn.Linear(D, (2 if cross else 3) * D)
        self.output = nn.Linear(D, D)

    def forward(self, x: Tensor, memory: Tensor, causal: bool) -> Tensor:
        parts = [self.query(x)] if self.query is not None else []
        parts += self.rest(memory).chunk(2 if self.query is not None else 3, -1)
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        out: Tensor = self.output(F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2))
        return out


class Layer(nn.Module):
    """Pre-norm branches."""

    def __init__(self, writes: bool) -> None:
        super().__init__()
        self.own, self.cross = Attention(False), Attention(True) if writes else None
        self.norms = nn.ModuleList(nn.LayerNorm(D) for _ in range(3 if writes else 2))
        self.feedforward = nn.Sequential(nn.Linear(D, FF), nn.ReLU(), nn.Linear(FF, D))

    def forward(self, x: Tensor, memory: Tensor | None) -> Tensor:
        entered = self.norms[0](x)
        x = x + self.own(entered, entered, self.cross is not None)
        if self.cross is not None and memory is not None:
            x = x + self.cross(self.norms[2](x), memory, False)
        out: Tensor = x + self.feedforward(self.norms[1](x))
        return out


class Reference(nn.Module):
    """The hand-tuned loop's model."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, D)
        self.encoder = nn.ModuleList(Layer(False) for _ in range(LAYERS))
        self.decoder = nn.ModuleList(Layer(True) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(D) for _ in range(2))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        x, y = self.table(source), self.table(target)
        for layer in self.encoder:
            x = layer(x, None)
        x = self.norms[0](x)
        for layer in self.decoder:
            y = layer(y, x)
        return F.linear(self.norms[1](y), self.table.weight)


def flops() -> float:
    """Of one step: products of the forward pass, twice that of the backward pass."""
    places = BATCH * LENGTH
    maps = LAYERS * ((4 * D * D + 2 * D * FF) + (8 * D * D + 2 * D * FF)) + VOCABULARY * D
    return 3 * 2 * (places * maps + LAYERS * BATCH * 3 * 2 * LENGTH * LENGTH * D)


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
    source, entered, labels = (stream(each.tolist(), pad=0) for each in data())
    batch, steps = {"source": source, "target": entered, "labels": labels}, iter(range(1, 10**9))

    def step() -> None:
        stepper.gradients(batch)
        stepper.update(1e-3, next(steps))

    return step


def stepping(model: nn.Module, loss: Loss) -> Callable[[], object]:
    """The loop of a peer."""
    optimizer = torch.optim.AdamW(model.train().parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def hand_tuned() -> Callable[[], object]:
    """Plain torch, written for this very case."""
    (source, entered, labels), model = data(), Reference()
    return stepping(model, lambda: F.cross_entropy(model(source, entered).flatten(0, 1), labels.flatten()))


def torch_transformer() -> Callable[[], object]:
    """nn.Transformer."""
    source, entered, labels = data()
    table = nn.Embedding(VOCABULARY, D)
    body = nn.Transformer(D, HEADS, LAYERS, LAYERS, FF, 0.0, batch_first=True, norm_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)

    def loss() -> Tensor:
        states = body(table(source), table(entered), tgt_mask=mask, tgt_is_causal=True)
        return F.cross_entropy(F.linear(states, table.weight).flatten(0, 1), labels.flatten())

    return stepping(nn.ModuleList([table, body]), loss)


def marian() -> Callable[[], object]:
    """transformers' Marian."""
    from transformers import MarianConfig, MarianMTModel

    source, entered, labels = data()
    sizes = dict(
        vocab_size=VOCABULARY, d_model=D, encoder_layers=LAYERS, decoder_layers=LAYERS, encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS, encoder_ffn_dim=FF, decoder_ffn_dim=FF, dropout=0.0, attention_dropout=0.0,
        activation_dropout=0.0, activation_function="relu", pad_token_id=0, eos_token_id=2, decoder_start_token_id=0,
        forced_eos_token_id=2, attn_implementation="sdpa",
    )  # fmt: skip
    model = MarianMTModel(MarianConfig(**sizes))
    return stepping(
        model, lambda: model(input_ids=source, decoder_input_ids=entered, labels=labels, use_cache=False).loss
    )


def joeynmt() -> Callable[[], object]:
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
        type="transformer", num_layers=LAYERS, num_heads=HEADS, hidden_size=D, ff_size=FF, dropout=0.0,
        embeddings=dict(embedding_dim=D, scale=True, dropout=0.0), layer_norm="pre",
    )  # fmt: skip
    whole = dict(initializer="xavier_uniform", tied_embeddings=True, tied_softmax=True)
    model = build(whole | dict(encoder=dict(part), decoder=dict(part)), src_vocab=vocabulary, trg_vocab=vocabulary)
    model.loss_function = ("crossentropy", 0.0)
    reads, writes = (torch.ones(BATCH, 1, LENGTH, dtype=torch.bool) for _ in range(2))
    lengths = torch.full((BATCH,), LENGTH)
    given = dict(
        src=source, src_length=lengths, src_mask=reads, trg_input=entered, trg=labels, trg_mask=writes,
        trg_length=lengths,
    )  # fmt: skip
    return stepping(model, lambda: model(return_type="loss", **given)[0] / labels.numel())


PEERS = {"nn.Transformer": torch_transformer, "transformers Marian": marian, "JoeyNMT": joeynmt}


def check() -> str:
    """The loss of our model beside the hand-tuned one's with our weights in it."""
    run = load_text(SPEC).run
    torch.manual_seed(0)
    model = build_model(run, Sizes({"source": VOCABULARY, "target": VOCABULARY})).eval()
    other, own = Reference(), dict(model.named_parameters())
    with torch.no_grad():
        other.table.weight.copy_(own["encoder.input.embedding.weight"])
        for name, layers in (("encoder", other.encoder), ("decoder", other.decoder)):
            for number, layer in enumerate(layers):
                assert isinstance(layer, Layer)
                _copy(layer, own, f"{name}.layers.{number}")
    source, entered, labels = data()
    theirs = F.cross_entropy(other(source, entered).flatten(0, 1), labels.flatten())
    batch = dict(zip(("source", "target", "labels"), (stream(each.tolist(), pad=0) for each in data()), strict=True))
    losses = model.losses(batch)
    return f"{abs(float(losses.loss / losses.count - theirs)):.0e} apart"


def _copy(layer: Layer, own: dict[str, nn.Parameter], name: str) -> None:
    maps = {"attention": layer.own, "cross_attention": layer.cross}
    for branch, module in maps.items():
        if module is None:
            continue
        parts = [own[f"{name}.{branch}.body.{part}.weight"] for part in ("query", "key", "value")]
        if module.query is not None:
            module.query.weight.copy_(parts.pop(0))
            module.query.bias.zero_()
        module.rest.weight.copy_(torch.cat(parts))
        module.rest.bias.zero_()
        module.output.weight.copy_(own[f"{name}.{branch}.body.output.weight"])
        module.output.bias.zero_()
    for part, place in (("hidden", 0), ("output", 2)):
        linear = layer.feedforward[place]
        assert isinstance(linear, nn.Linear)
        linear.weight.copy_(own[f"{name}.feedforward.body.{part}.weight"])
        linear.bias.zero_()


def measure(quick: bool) -> None:
    """The rows."""
    use_threads(None)
    row = Row("dense training step", "3+3 layers, d 256, ff 1,024, 8,000 ids, 32 x (48+48) tokens", "ms")
    works: dict[str, Callable[[], object]] = {"attncli": ours(), "hand-tuned torch": hand_tuned()}
    for name, make in PEERS.items():
        with contestant(name, row.notes):
            works[name] = make()
    with contestant("check", row.notes):
        row.checks["loss with the same weights, beside the hand-tuned model's"] = check()
    times, row.peak = interleaved(works, row.notes, rounds=4 if quick else 12)
    told(row, times)
    if not quick:
        compiled()


def told(row: Row, times: dict[str, list[float]], wanted: float = 0.98) -> None:
    """Fill the row with the seconds of all rounds, and tell it."""
    assert row.peak is not None
    row.values = {name: 1000 * median(took) for name, took in times.items()}
    row.shares = {name: flops() / median(took) / row.peak for name, took in times.items()}
    ours, *_ = row.values
    for name in row.values:
        if not name.startswith("attncli"):
            row.ratios[name] = (row.values[name] / row.values[ours], wanted if name == "hand-tuned torch" else None)
    row.tell()


def compiled() -> None:
    """The row of the compiled step: in a row of its own, since compiling may outlast the time that the script has."""
    row = Row("dense training step, compiled", "the same with train.compile: true", "ms")
    began = time.perf_counter()
    step = ours("train.compile=true")
    step()
    compiling = time.perf_counter() - began
    works = {"attncli, compiled": step, "attncli": ours(), "hand-tuned torch": hand_tuned()}
    times, row.peak = interleaved(works, row.notes, rounds=8)
    saved = median(times["attncli"]) - median(times["attncli, compiled"])
    pays = f"{compiling / saved:,.0f} steps" if saved > 0 else "none here, since the plain step is as fast"
    row.notes.append(f"compiling takes {compiling:.0f} s; break-even: {pays}")
    told(row, times, 1.05)


if __name__ == "__main__":
    main(measure)
