"""Two models of which it is known what they do, and what their maps and measures say: docs/reading-attention.md."""

import random

import torch

from attncli.analysis.importance import Faithfulness, importance
from attncli.analysis.keys import faithful_keys
from attncli.nn.model import Model, build_model
from attncli.spec.load import load_text
from attncli.spec.sizes import Sizes
from attncli.streams import Batch, stream

SPEC = """
name: known
task: language_model
model:
  decoder:
    {d_model: 32, layers: 2, max_length: 32, dropout: 0, attention: {heads: 4, position: none, bias: true}}
tokenizer: {kind: words, vocabulary: 40}
"""
BOS, EOS, WORDS = 2, 3, 40


def texts(rows: int = 64) -> Batch:
    """Words drawn at random."""
    draw = random.Random(1)
    found = [[draw.randrange(5, WORDS) for _ in range(draw.randint(6, 12))] for _ in range(rows)]
    labels = [[*text, EOS] for text in found]
    return {"text": stream([[BOS, *text] for text in found], pad=0), "labels": stream(labels, pad=-100)}


def fresh() -> Model:
    """A model as it is before training."""
    torch.manual_seed(0)
    return build_model(load_text(SPEC).run, Sizes({"text": WORDS})).eval()


@torch.no_grad()
def planted() -> tuple[Model, Batch]:
    """One head of layer 0, head 2, decides: all others write almost nothing, and right is what the model says."""
    model, rows = fresh(), texts()
    for address, attention in model.attentions().items():
        for head in range(4):
            decides = (address, head) == ("decoder.0.attention", 2)
            attention.output.weight[:, 8 * head : 8 * head + 8] *= 50.0 if decides else 1e-3
    model.stacks["decoder"].final_norm.weight *= 8.0
    said, lengths = model(rows).argmax(-1), rows["labels"].lengths.tolist()
    labels = [row[:length].tolist() for row, length in zip(said, lengths, strict=True)]
    return model, rows | {"labels": stream(labels, pad=-100)}


@torch.no_grad()
def with_a_sink() -> Model:
    """Head 0 of layer 0 looks at the first token alone, whose value is 0."""
    model = fresh()
    layer = next(iter(model.stacks["decoder"].each_layer())).attention
    first = layer.norm(model.stacks["decoder"].input.embedding.weight[BOS])
    attention, along = layer.body, first / first.square().sum()
    attention.value.weight -= torch.outer(attention.value.weight @ first, along)
    wanted = torch.zeros(32)
    wanted[:8] = 1.3
    attention.query.bias[:8] = 1.3
    attention.key.weight += torch.outer(wanted - attention.key.weight @ first, along)
    return model


def shares_of_the_first_token(model: Model) -> tuple[float, float]:
    """Of head 0: its mean weight on the first token, and the share of that token in what the head adds."""
    found = []

    def tap(record: object) -> None:
        found.append(record)

    with torch.no_grad():
        model(texts(8), tap)
        record = found[0]
        attention = record.attention
        weights = attention.weights(record)[:, 0]
        added = torch.einsum("bkv,dv->bkd", record.value[:, 0], attention.output.weight[:, :8]).norm(dim=-1)
        real = record.query_real if record.query_real is not None else torch.ones_like(weights[..., 0]).bool()
        lengths = weights * added.unsqueeze(1)
        share = lengths[..., 0] / lengths.sum(-1).clamp(min=1e-12)
    behind = real.clone()
    behind[:, 0] = False  # the first token can look at itself alone
    return float(weights[..., 0][behind].mean()), float(share[behind].mean())


def line(name: str, found: Faithfulness) -> str:
    """One score with its interval."""
    score, low, high = (round(number, 2) + 0.0 for number in (found.score, found.low, found.high))  # no -0.00
    return f"{name:32}{score:6.2f}  [{low:5.2f}, {high:5.2f}]"


if __name__ == "__main__":
    model, rows = planted()
    found, of_random = importance(model, [rows]), importance(fresh(), [texts()])
    print("faithfulness by deletion           score   95 %")
    print(line("planted model, heads", found.faithfulness))
    print(line("random model, heads", of_random.faithfulness))
    print(line("random model, keys", faithful_keys(fresh(), [texts()])))
    best = found.heads[0]
    print(f"\nthe planted head is {best.address}:{best.head}; without it {best.masked:.1f} nats a label are lost,")
    print(f"without any other at most {max(abs(head.masked) for head in found.heads[1:]):.2f}")
    weight, share = shares_of_the_first_token(with_a_sink())
    print(f"\na head gives the first token {weight:.0%} of its weight; of what the head adds it is {share:.0%}")
