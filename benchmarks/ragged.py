"""An encoder's forward pass over rows of unlike length, beside transformers' BERT, which computes the padding.

    python -m benchmarks.ragged

6 layers, 12 heads, 384 wide, ff 1,536, eight rows of 64 to 512 tokens (uniform, seed 0). The FLOPs are those of real
tokens. attncli takes rows of like length together in passes of their own (attncli/nn/groups.py).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from attncli.nn.model import Model, build_model
from attncli.spec.load import load_text
from attncli.spec.sizes import Sizes
from attncli.streams import Stream, stream
from attncli.training.machine import use_threads
from benchmarks.harness import Row, contestant, interleaved, main, median

VOCABULARY, D, FF, HEADS, LAYERS, BATCH = 30000, 384, 1536, 12, 6, 8
SPEC = """
name: ragged
task: {kind: masked_language_model}
model:
  encoder:
    d_model: 384
    max_length: 512
    norm: layer_norm
    norm_place: post
    bias: true
    attention: {heads: 12}
    feedforward: {kind: gelu, d_ff: 1536}
    input: {position: learned, norm: layer_norm}
    layers: 6
tokenizer: characters
"""


def rows() -> Stream:
    """The texts."""
    torch.manual_seed(0)
    lengths = torch.randint(64, 513, (BATCH,)).tolist()
    return stream([torch.randint(5, VOCABULARY, (length,)).tolist() for length in lengths], pad=0)


def flops(tokens: Stream) -> float:
    """Products of the forward pass over real tokens."""
    lengths = tokens.lengths.double()
    return 2 * LAYERS * float((lengths * (4 * D * D + 2 * D * FF) + 2 * lengths * lengths * D).sum())


def ours() -> Model:
    """The encoder; its states are asked for, no logits."""
    torch.manual_seed(0)
    return build_model(load_text(SPEC).run, Sizes({"text": VOCABULARY})).eval()


def bert(tokens: Stream, implementation: str) -> Callable[[], object]:
    """transformers' encoder."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=FF, max_position_embeddings=512,
    )  # fmt: skip
    model = BertModel._from_config(config, attn_implementation=implementation).eval()
    given = {"input_ids": tokens.values, "attention_mask": tokens.real.long()}
    return lambda: model(**given)


def apart(model: Model, tokens: Stream) -> str:
    """The states of the batch beside those of each row alone."""
    whole, worst = model.states({"text": tokens}).values, 0.0
    for row, length in enumerate(tokens.lengths.tolist()):
        alone: Tensor = model.states({"text": stream([tokens.values[row, :length].tolist()], pad=0)}).values[0]
        worst = max(worst, float((whole[row, :length] - alone).abs().max()))
    return f"{worst:.0e} apart"


@torch.no_grad()
def measure(quick: bool) -> None:
    """The row."""
    use_threads(None)
    tokens, model = rows(), ours()
    places, real = tokens.values.numel(), int(tokens.lengths.sum())
    what = f"6 layers, 12 heads, d 384, {BATCH} rows of 64 to 512 tokens: {real:,} in {places:,} places"
    row = Row("encoder forward, ragged rows", what, "ms")
    works: dict[str, Callable[[], object]] = {"attncli": lambda: model.states({"text": tokens})}
    with contestant("transformers BERT", row.notes):
        works["transformers BERT"] = bert(tokens, "sdpa")
    row.checks["states beside those of each row alone"] = apart(model, tokens)
    times, row.peak = interleaved(works, row.notes, rounds=4 if quick else 12)
    row.values = {name: 1000 * median(took) for name, took in times.items()}
    row.shares = {name: flops(tokens) / median(took) / row.peak for name, took in times.items()}
    for name in row.values:
        if name != "attncli":
            row.ratios[name] = (row.values[name] / row.values["attncli"], 1.5)
    row.tell()


if __name__ == "__main__":
    main(measure)
