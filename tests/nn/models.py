"""Whole models of every kind, small, in float64, with no weight at a special value; and batches of unlike sizes."""

from functools import cache

import torch
import yaml
from torch import nn

from attncli.checking import subject
from attncli.nn.model import Model, build_model, token_fields
from attncli.spec.load import load_text
from attncli.spec.masks import parse
from attncli.spec.run import Run
from attncli.spec.sizes import Sizes
from attncli.streams import Batch, Stream, stream
from tests import catalogue

VOCABULARIES = {"source": 17, "target": 19, "text": 13}
SOURCES = ([5, 6, 7, 8, 3], [9, 10, 3], [11, 12, 13, 3], [14, 3])
TARGETS = ([2, 7, 8, 9], [2, 11, 18, 13, 14, 15], [2, 5], [2, 16, 6])


def shake(module: nn.Module, *, seed: int = 0, size: float = 0.4) -> None:
    """Draw every parameter, gains and biases too, so that none hides behind a 0 or a 1."""
    subject.shake(module, seed=seed, spread=size)


def tiny(model: str, task: str = "seq2seq") -> str:
    """A spec with this model, a mapping in YAML."""
    return f"name: tiny\ntask: {task}\nmodel: {model}\ntokenizer: {{kind: words, vocabulary: 17}}\n"


@cache
def run_of(text: str, *overrides: str) -> Run:
    """The run of a spec."""
    return load_text(text, overrides).run


def build(text: str, *overrides: str, seed: int = 0, dtype: torch.dtype = torch.float64, labels: int = 3) -> Model:
    """The model of a spec with drawn weights, ready for evaluation."""
    run = run_of(text, *overrides)
    sizes = Sizes({field: VOCABULARIES[field] for field in token_fields(run)}, labels)
    model = build_model(run, sizes)
    shake(model, seed=seed)
    return model.to(dtype).eval()


def batch(*rows: int, left: bool = False) -> Batch:
    """The sentences named (all without a name), sources and targets, with labels."""
    chosen = rows or range(len(SOURCES))
    sources, targets = [SOURCES[row] for row in chosen], [TARGETS[row] for row in chosen]
    return {
        "source": stream(sources, pad=0, left=left),
        "target": stream(targets, pad=0, left=left),
        "labels": stream([[*target[1:], 3] for target in targets], pad=-100, left=left),
    }


def packed(rows: tuple[tuple[int, ...], ...], sentences: tuple[list[int], ...]) -> Stream:
    """Several sentences in each row, then padding."""
    width = max(sum(len(sentences[one]) for one in row) for row in rows) + 1
    values = torch.zeros(len(rows), width, dtype=torch.long)
    positions, documents = torch.zeros_like(values), torch.full_like(values, -1)
    for i, row in enumerate(rows):
        at = 0
        for document, one in enumerate(row):
            place = slice(at, at + len(sentences[one]))
            values[i, place] = torch.tensor(sentences[one])
            positions[i, place] = torch.arange(len(sentences[one]))
            documents[i, place] = document
            at = place.stop
    return Stream(values, (documents >= 0).sum(1), positions, documents, padded=True, packed=True, plain=False)


def transformer(
    *,
    score: str = "{kind: scaled_dot, scale: 0.4}",
    normalizer: str = "softmax",
    position: str = "none",
    mask: str = "full",
    heads: str = "{heads: 4, kv_heads: 2, d_head: 6}",
    steps: str = "{}",
    own: str = "{}",
    absolute: str = "none",
    feedforward: str = "swiglu",
    norm: str = "layer_norm",
    place: str = "pre",
    residual: str = "add",
    order: str = "[attention, cross_attention, feedforward]",
    share: str = "none",
    kernel: str = "auto",
    tie: str = "none",
    layers: int = 2,
    task: str = "seq2seq",
) -> str:
    """An encoder and a decoder whose three attentions are all of these kinds."""
    attention = {"score": read(score), "normalizer": read(normalizer), "position": read(position), "kernel": kernel}
    cross = "full" if "document" in mask or "q_length" in mask or "causal" in mask else mask
    written = "softmax" if normalizer in catalogue.READERS_ONLY else normalizer
    ahead = parse(mask).causal(length=32) is not None
    added = read(own) | ({"position": "none"} if "dynamic_ntk" in position else {})  # no writer may have it
    model = {
        "d_model": 12,
        "max_length": 32,
        "dropout": 0.1,
        "bias": True,
        "tie_embeddings": tie,
        "norm": read(norm),
        "norm_place": place,
        "residual": read(residual),
        "input": {"position": read(absolute)},
        "feedforward": _mapping(feedforward) | ({} if "experts" in feedforward else {"d_ff": 10}),
        "attention": attention | read(heads) | read(steps),
        "encoder": {"layers": layers, "attention": {"mask": mask}},
        "decoder": {
            "layers": [{"repeat": layers, "share": share}] if share != "none" else layers,
            "order": read(order),
            "attention": {"mask": "causal" if ahead else mask, "normalizer": read(written)} | added,
            "cross_attention": {"mask": cross},
        },
    }
    return tiny(yaml.safe_dump(model, default_flow_style=True, width=10_000).strip(), task)


HEADS = "{heads: 4, kv_heads: 2, d_head: 6, projections: all}"


def between(name: str) -> str:
    """Layers of a line of the catalogue; the encoder has none that name a cross-attention."""
    lines = catalogue.BETWEEN[name]
    given: dict[str, object] = {"heads": 4, "kv_heads": 2, "d_head": 6}
    given["score"] = {"kind": "scaled_dot", "scale": 0.4}
    given |= {"value_residual": "first"} if name.startswith("value_residual") else {}
    model = {
        "d_model": 12,
        "max_length": 32,
        "bias": True,
        "attention": given,
        "feedforward": {"kind": "gelu", "d_ff": 8},
    }
    encoder = {"layers": 2 if "cross" in name else read(lines)}
    model |= {"tie_embeddings": "none", "encoder": encoder, "decoder": {"layers": read(lines)}}
    return tiny(yaml.safe_dump(model, default_flow_style=True, width=10_000).strip())


def recurrent(
    *,
    cell: str = "gru",
    direction: str = "{kind: both, merge: concatenate}",
    writer: str = catalogue.WRITERS["Luong, feeding"],
    bridge: str = "dense",
    score: str = "{kind: additive, d_hidden: 9}",
    normalizer: str = "softmax",
    mask: str = "full",
    heads: str = "{heads: 1, projections: none}",
    steps: str = "{}",
    encoder: str = "recurrent",
    layers: int = 2,
    d_hidden: int = 8,
    reader: str = "{}",
    task: str = "seq2seq",
) -> str:
    """A recurrent decoder that attends to a recurrent encoder, or to a Transformer."""
    source: dict[str, object] = {"kind": "recurrent", "cell": read(cell), "d_hidden": d_hidden, "layers": layers}
    source |= {"input": {"d_embedding": 5}, "direction": read(direction)} | read(reader)
    if encoder == "transformer":
        source = {"d_model": 12, "layers": 1, "attention": {"heads": 2}, "feedforward": {"d_ff": 11}, "bias": True}
    attention = read(heads) | {"score": read(score), "normalizer": read(normalizer), "mask": mask}
    attention |= read(steps)
    decoder = {"kind": "recurrent", "cell": read(cell), "d_hidden": 8, "layers": layers, "bridge": read(bridge)}
    decoder |= read(writer) | {"input": {"d_embedding": 7}, "cross_attention": attention}
    model = {"dropout": 0.1, "max_length": 32, "tie_embeddings": "none", "encoder": source, "decoder": decoder}
    return tiny(yaml.safe_dump(model, default_flow_style=True, width=10_000).strip(), task)


def _mapping(text: str) -> dict[str, object]:
    found = read(text)
    return dict(found) if isinstance(found, dict) else {"kind": found}


def read(text: str) -> object:
    """A fragment of the catalogue as data."""
    return yaml.safe_load(text)


def transformers() -> dict[str, str]:
    """A Transformer for each line of the catalogue that one reads."""
    found = {f"score {name}": transformer(score=score) for name, score in catalogue.SCORES.items()}
    found |= {f"normalizer {name}": transformer(normalizer=kind) for name, kind in catalogue.NORMALIZERS.items()}
    found |= {f"mask {mask}": transformer(mask=mask) for mask in catalogue.MASKS}
    for name, kind in catalogue.POSITIONS.items():
        mask = "causal" if name in catalogue.BACKWARD else "full"
        found[f"position {name}"] = transformer(position=kind, mask=mask)
    found |= {f"input {name}": transformer(absolute=kind) for name, kind in catalogue.ABSOLUTE.items()}
    found |= {f"feedforward {name}": transformer(feedforward=kind) for name, kind in catalogue.FEEDFORWARDS.items()}
    found |= {f"order {name}": transformer(order=order) for name, order in catalogue.ORDERS.items()}
    for name, kind in catalogue.RESIDUALS.items():
        place = "post" if name == "deepnorm" else "pre"
        found[f"residual {name}"] = transformer(residual=kind, place=place)
        found[f"side by side, {name}"] = transformer(
            residual=kind, place=place, order="[[attention, feedforward], cross_attention]"
        )
    found |= {f"share {share}": transformer(share=share, layers=3) for share in ("all", "attention", "feedforward")}
    found |= {f"heads {name}": transformer(heads=heads) for name, heads in catalogue.HEADS.items()}
    found |= {f"kind {name}": transformer(heads=kind) for name, kind in catalogue.KINDS.items()}
    found |= {f"step {name}": transformer(steps=step, position="rotary") for name, step in catalogue.STEPS.items()}
    for name, step in catalogue.SELECTS.items():
        if "indexer" in name:
            cross = f"cross_attention: {{{step[1:-1]}, "
            found[name] = transformer(steps=step, position="rotary").replace("cross_attention: {", cross)
    for name, step in catalogue.CAUSAL_STEPS.items():
        found[f"causal step {name}"] = transformer(own=step, position="rotary")
    for place in ("sandwich", "output"):
        found[f"{place} side by side"] = transformer(place=place, order="[[attention, feedforward], cross_attention]")
    found["none"] = transformer(norm="none", place="none")
    for place in (place for place in catalogue.PLACES if place != "none"):
        for name, kind in catalogue.NORMS.items():
            # every dyt after a sum squashes it again: with drawn weights little is left behind a second layer
            layers = 1 if (place, name) == ("post", "dyt") else 2
            found[f"{place} {name}"] = transformer(norm=kind, place=place, layers=layers)
    for name, span in catalogue.SPANS.items():
        found[f"span {name}"] = tiny(
            "{d_model: 12, layers: 1, tie_embeddings: none, attention: {heads: 2}, feedforward: {d_ff: 10}, "
            f"encoder: {{attention: {{span: {span}}}}}, decoder: {{cross_attention: {{span: {span}}}}}}}"
        )
    found |= {f"between {name}": between(name) for name in catalogue.BETWEEN}
    found["pointer"] = transformer(task=catalogue.POINTER)
    found["pointer, shared layers"] = transformer(task=catalogue.POINTER, share="attention", layers=3)
    mixed = "recurrent encoder"
    found[mixed] = tiny(
        "{tie_embeddings: none, encoder: {kind: recurrent, d_hidden: 5, direction: both}, "
        "decoder: {d_model: 12, layers: 1, attention: {heads: 2}, feedforward: {d_ff: 10}}}"
    )
    return found


def recurrents() -> dict[str, str]:
    """A recurrent model for each line of the catalogue that one reads."""
    found = {
        f"{writer} {cell}": recurrent(writer=text, cell=cell)
        for writer, text in catalogue.WRITERS.items()
        for cell in ("gru", "lstm")
    }
    found |= {name: recurrent(writer=text, cell="lstm") for name, text in catalogue.LONG_WRITERS.items()}
    found |= {f"cell {name}": recurrent(cell=kind) for name, kind in catalogue.CELLS.items()}
    ways = {"both": "{kind: both, merge: sum}", "backward": "backward"}
    found |= {f"residual encoder, {name}": recurrent(reader="{residual: add}", direction=w) for name, w in ways.items()}
    found |= {f"direction {name}": recurrent(direction=kind) for name, kind in catalogue.DIRECTIONS.items()}
    for name, kind in catalogue.BRIDGES.items():
        way = "forward" if name == "copy" else "both"
        found[f"bridge {name}"] = recurrent(bridge=kind, direction=way, cell="lstm")
    for name, score in catalogue.SCORES.items():
        maps = "none" if name in ("general", "additive", "location", "synthesizer") else "[query, key]"
        found[f"score {name}"] = recurrent(score=score, heads=f"{{heads: 2, d_head: 4, projections: {maps}}}")
    found |= {
        f"normalizer {name}": recurrent(normalizer=kind)
        for name, kind in catalogue.NORMALIZERS.items()
        if name not in catalogue.READERS_ONLY
    }
    for name, score in catalogue.SEQUENTIAL_SCORES.items():
        found[f"score {name}"] = recurrent(score=score, heads="{heads: 2, d_head: 4, projections: none}")
    for name, kind in catalogue.SEQUENTIAL_NORMALIZERS.items():
        found[f"normalizer {name}"] = recurrent(normalizer=kind, writer=catalogue.WRITERS["Bahdanau"])
    for name, span in catalogue.SPANS.items():
        heads = f"{{heads: 2, d_head: 4, projections: none, span: {span}}}"
        found[f"span {name}"] = recurrent(heads=heads)
        found[f"span {name}, all at once"] = recurrent(heads=heads, writer=catalogue.WRITERS["Luong"], mask="k > 0")
    see = {"score": "{kind: coverage, d_hidden: 9}", "writer": catalogue.LONG_WRITERS["See"], "cell": "lstm"}
    found["pointer"] = recurrent(task=catalogue.POINTER, **see)
    found["pointer, at once"] = recurrent(task=catalogue.POINTER, writer=catalogue.WRITERS["Luong"])
    found["two trails"] = recurrent(score=catalogue.SEQUENTIAL_SCORES["location_aware"], normalizer="forward")
    for mask in ("abs(q - k) <= 1", "first(2)", "k >= k_length - 2"):
        found[f"mask {mask}"] = recurrent(mask=mask)
        found[f"mask {mask}, all at once"] = recurrent(mask=mask, writer=catalogue.WRITERS["Luong"])
    found["Transformer encoder"] = recurrent(encoder="transformer", bridge="{kind: dense, of: mean}")
    for name, step in catalogue.STEPS.items():
        if "span" in name or "short" in name:
            continue  # of one text
        writer = catalogue.WRITERS["Bahdanau" if "many" in name else "Luong"]
        found[f"step {name}"] = recurrent(
            heads=HEADS, steps=step, writer=writer, score="{kind: scaled_dot, scale: 0.4}"
        )
    found["heads"] = recurrent(heads="{heads: 4, kv_heads: 2, d_head: 6, d_value: 5, projections: all, bias: true}")
    return found


def writers() -> dict[str, str]:
    """Every model that writes."""
    return transformers() | {f"recurrent {name}": text for name, text in recurrents().items()}
