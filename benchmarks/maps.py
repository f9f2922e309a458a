"""Maps of 6 layers x 12 heads x 512 tokens into one float32 file: ours beside transformers' eager forward.

    python -m benchmarks.maps [--quick]

Both models have the same sizes (BERT's, 384 wide) and write the same array names and bytes. Ours run with their fused
kernel and make the weights from its log-sum-exp; transformers' run with the attention that holds them. The certificate
(rows, mask, map V = output in float64) is timed apart. A second row is the page of the maps.
"""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from attncli.api import build
from attncli.maps.capture import capture_forced
from attncli.maps.page import assemble
from attncli.maps.rebuilding import rebuilt
from attncli.maps.record import Maps, Sample
from attncli.nn.records import Record
from attncli.spec.load import load_text
from attncli.streams import stream
from benchmarks.harness import Row, interleaved, main, median

LAYERS, HEADS, WIDTH, TOKENS = 6, 12, 384, 512
SPEC = f"""
name: bert-like
task: masked_language_model
model:
  d_model: {WIDTH}
  max_length: {TOKENS}
  dropout: 0
  bias: true
  norm: layer_norm
  norm_place: post
  input: {{position: learned, norm: layer_norm, segments: none}}
  attention: {{heads: {HEADS}}}
  feedforward: {{kind: gelu, d_ff: {4 * WIDTH}}}
  encoder: {{layers: {LAYERS}}}
tokenizer: {{kind: words, vocabulary: 30522}}
"""


def measure(quick: bool) -> None:
    """Tell the rows."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    ours = build(load_text(SPEC).run)
    config = BertConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=4 * WIDTH,
        max_position_embeddings=TOKENS, attn_implementation="eager",
    )  # fmt: skip
    theirs = BertModel(config, add_pooling_layer=False).eval()
    ids = torch.randint(10, 30000, (1, TOKENS))
    batch = {"text": stream(ids.tolist(), pad=0)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)

        def plain() -> None:
            ours.states(batch)

        def maps(write: bool = True) -> None:
            taken: dict[str, torch.Tensor] = {}

            def tap(record: Record) -> None:
                taken[record.address] = rebuilt(record).weights[0]

            ours.states(batch, tap)
            if write:
                save_file(taken, path / "ours.safetensors")

        def certified() -> None:
            capture_forced(ours, batch, lambda field, ids: [str(each) for each in ids])

        def eager(write: bool = True) -> None:
            found = theirs(ids, output_attentions=True).attentions
            if write:
                save_file(
                    {f"encoder.{i}.attention": each[0] for i, each in enumerate(found)}, path / "theirs.safetensors"
                )

        row = Row(
            "maps", f"{LAYERS} layers x {HEADS} heads x {TOKENS} tokens, batch 1: forward, maps, one float32 file", "ms"
        )
        works = {
            "attncli": maps, "transformers eager": eager, "attncli, not written": lambda: maps(False),
            "transformers eager, not written": lambda: eager(False), "attncli, no tap": plain,
            "attncli, certified": certified,
        }  # fmt: skip
        times, row.peak = interleaved(works, row.notes, rounds=3 if quick else 9)
        sizes = [(path / f"{name}.safetensors").stat().st_size for name in ("ours", "theirs")]
        row.checks["file"] = f"{sizes[0]} and {sizes[1]} bytes"
    row.values = {name: median(took) * 1e3 for name, took in times.items()}
    if "transformers eager" in times:
        ratio = median([b / a for a, b in zip(times["attncli"], times["transformers eager"], strict=True)])
        row.ratios["transformers eager"] = (ratio, 0.8)
    row.tell()
    if not quick:
        _page(ours, batch)


def _page(ours: torch.nn.Module, batch: dict[str, object]) -> None:
    """The page of the same maps, in bytes a weight and seconds."""
    import time

    _, (maps,) = capture_forced(ours, batch, lambda field, ids: [str(each) for each in ids])
    began = time.perf_counter()
    page = assemble(Maps((Sample({"text": "…"}, maps, "forced"),)))
    took = time.perf_counter() - began
    weights = sum(one.whole().size for one in maps)
    row = Row("page", f"the page of {weights} weights", "s", {"attncli": took})
    row.checks["bytes a weight"] = f"{len(page.encode()) / weights:.2f} (BertViz 45)"
    row.tell()


if __name__ == "__main__":
    main(measure)
