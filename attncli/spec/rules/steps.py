"""What the steps of one attention owe each other: a step without effect, or without a meaning, is refused."""

from collections.abc import Iterator

from attncli.spec.attention import AnyAttention, Differential, MultiHead
from attncli.spec.base import Fault
from attncli.spec.normalizers import SEQUENTIAL, Budget
from attncli.spec.norms import NoNorm
from attncli.spec.positions import Pope, Rotary, Xpos
from attncli.spec.recurrent import Recurrent
from attncli.spec.rules.sections import Site
from attncli.spec.scores import SEQUENTIAL as SEQUENTIAL_SCORES
from attncli.spec.spans import Adaptive
from attncli.spec.steps import Indexer, Llama4Temperature, Top
from attncli.spec.words import listed

SINKING = ("softmax", "sparsemax", "entmax", "normmax")
"""Normalizers whose weights compete for one unit of mass, so that a logit without a value can take some of it."""
VECTOR_NORMS = ("rms_norm", "layer_norm", "scale_norm", "dyt", "none")
"""Norms of one vector; another one would carry numbers from token to token."""
COMPARING = ("scaled_dot", "dot", "cosine", "general", "biased_dot", "additive", "trilinear", "distance")
"""Scores that look at every key, and at nothing of its place."""
RAW = ("scaled_dot", "dot", "cosine", "general", "biased_dot")
"""Scores that compare the keys as they are, or all heads alike, so that two attentions may read the same ones."""
WALKING = ("forward", "moving_window", "monotonic", "queries")
"""Normalizers that look at more of a row than its scores: which key stands behind which, or the other queries."""
MOST_COUNTED = 4096
"""Tokens of the rows in which the keys that a query sees are counted."""
NORMS = ("qk_norm", "v_norm", "context_norm")


def faults(site: Site) -> Iterator[Fault]:
    """Every rule that the steps of one attention break."""
    a = site.attention
    found = [*_norms(a), *_heads(a), *_sink(a), *_persistent(a), *_borrowed(a), *_shared(a), *_output(a), *_pairs(a)]
    found += [*_selective(site), *_short(site), *_clip(a)]
    for fault in (*found, *_length(site), *_select(site), *_budget(site), *_span(site)):
        yield Fault((*site.where, *fault.where), fault.rule, fault.help)


def _norms(a: AnyAttention) -> Iterator[Fault]:
    for key in NORMS:
        norm = getattr(a, key)
        if norm.kind not in VECTOR_NORMS:
            yield Fault((key,), f"'{norm.kind}' measures over places, and a head has one vector at each", "rms_norm")
    if not isinstance(a.qk_norm, NoNorm) and a.qk_norm.over == "head" and a.d_head == 1:
        if a.qk_norm.kind == "layer_norm":
            rule = "a head of one number is its own mean, so the norm leaves nothing of it"
            yield Fault(("qk_norm",), rule, "write a larger d_head, or over: projection")
        elif a.score.kind == "cosine":
            rule = "a norm of one number leaves its sign, and so does cosine"
            yield Fault(("qk_norm",), rule, "write a larger d_head, or leave it out")
    if not isinstance(a.qk_norm, NoNorm) and a.qk_norm.over == "projection" and a.heads == a.kv_heads == 1:
        yield Fault(("qk_norm", "over"), "of one head the projection is the head", "leave over out")


def _heads(a: AnyAttention) -> Iterator[Fault]:
    if a.talking_heads == "none":
        return
    if a.heads == 1:
        yield Fault(("talking_heads",), "one head has no other to talk to", "write more heads, or leave it out")
    if a.talking_heads != "before" and "h" in a.mask.names:
        rule = f"after they are mixed, a head has weights where another one's part of '{a.mask.text}' shows keys"
        yield Fault(("talking_heads",), rule, "write talking_heads: before, or one mask for all heads")


def _sink(a: AnyAttention) -> Iterator[Fault]:
    if a.sink != "none" and a.normalizer.kind not in SINKING:
        rule = f"'{a.normalizer.kind}' has no sum of exponentials or of shares that a sink could take a part of"
        yield Fault(("sink",), rule, f"write a normalizer of {listed(SINKING)}, or leave sink out")
    mixes = a.talking_heads in ("after", "both") or isinstance(a, Differential)
    if a.sink != "none" and a.normalizer.kind == "softmax" and a.context_norm.kind == "scale_norm" and not mixes:
        rule = "'scale_norm' gives a mixture the same length whatever a sink takes of it, so a sink changes nothing"
        yield Fault(("sink",), rule, "write another context_norm, or leave sink out")


def _persistent(a: AnyAttention) -> Iterator[Fault]:
    if a.persistent and a.score.kind not in COMPARING:
        yield Fault(("persistent",), f"'{a.score.kind}' compares no keys", f"write a score of {listed(COMPARING)}")
    if a.persistent and a.normalizer.kind in WALKING:
        rule = f"'{a.normalizer.kind}' shares out the keys that stand in a text, and a persistent one stands in none"
        yield Fault(("persistent",), rule, "write normalizer: softmax, or leave persistent out")


def _borrowed(a: AnyAttention) -> Iterator[Fault]:
    if a.kv_from is None:
        return
    theirs = f"keys and values are those of '{a.kv_from}'"
    for key in ("projections", "bias"):
        if {"key", "value"} & set(getattr(a, key)):
            yield Fault((key,), f"{theirs}, so there are no maps for them here", "write query and output alone")
    if not isinstance(a.v_norm, NoNorm):
        yield Fault(("v_norm",), f"{theirs}, and normed there", "leave v_norm out")
    if a.value_residual != "none":
        yield Fault(("value_residual",), f"{theirs}, and mixed there", "leave value_residual out")
    if a.score.kind not in RAW:
        rule = f"'{a.score.kind}' makes something of its own of each key, and {theirs}"
        yield Fault(("score",), rule, f"write a score of {listed(RAW)}")


def _selective(site: Site) -> Iterator[Fault]:
    a = site.attention
    if a.selective == "none":
        return
    if site.source is not None:
        rule = f"tokens tell later ones which of them are needed no more, and '{site.name}' reads '{site.source}'"
        yield Fault(("selective",), rule, "leave selective out of cross_attention")
    elif a.mask.causal(heads=a.heads) is not None:
        rule = f"tokens tell later ones which are needed no more, and '{a.mask.text}' lets a query look ahead"
        yield Fault(("selective",), rule, "write a causal mask, or leave selective out")
    if a.kv_from is not None:
        rule = f"what is marked is kept beside the keys, and keys are those of '{a.kv_from}'"
        yield Fault(("selective",), rule, "leave kv_from or selective out")
    if a.normalizer.kind == "signed" or getattr(a.normalizer, "activation", "") in ("absolute", "square"):
        rule = f"under '{a.normalizer.kind}' a score far below 0 weighs much, and a key that is marked has one"
        yield Fault(("selective",), rule, "write normalizer: softmax, or leave selective out")


def _shared(a: AnyAttention) -> Iterator[Fault]:
    """A key that is a value too is one vector of a place, met by each query in its own way."""
    if a.values != "keys":
        return
    for key in ("projections", "bias"):
        if "value" in getattr(a, key):
            yield Fault((key,), "the values are the keys, so there is no map for them", "leave value out")
    if isinstance(a, Differential):
        rule = "a pair of differential attention has two keys and one value, so that neither key is the value"
        yield Fault(("values",), rule, "leave values out, or write kind: multi_head")
    if a.score.kind in ("location", "synthesizer"):
        yield Fault(("values",), f"'{a.score.kind}' compares no keys that could be values", "leave values out")
    if a.score.kind == "biased_dot":
        rule = "'biased_dot' reads each value by itself, and these are turned to the query that meets them"
        yield Fault(("score",), rule, "write score: scaled_dot, or leave values out")
    if not a.maps("key") and isinstance(a.qk_norm, NoNorm) and not isinstance(a.position, (Rotary, Xpos)):
        rule = "without a map of keys both are the states as they are, so that this changes nothing"
        yield Fault(("values",), rule, "add key to the projections, or leave values out")
    if not isinstance(a.v_norm, NoNorm):
        yield Fault(("v_norm",), "the values are the keys, which qk_norm norms", "write qk_norm")
    if a.value_residual != "none":
        rule = "the values are the keys, and a mixture with those of the first layer would not be"
        yield Fault(("value_residual",), rule, "leave value_residual out, or values")


def _short(site: Site) -> Iterator[Fault]:
    a = site.attention
    if not isinstance(a, MultiHead) or a.short_convolution is None:
        return
    if site.source is not None:
        rule = f"neighbours are of one text, and '{site.name}' reads '{site.source}': Primer has it in self-attention"
        yield Fault(("short_convolution",), rule, "leave short_convolution out of cross_attention")
    elif a.mask.causal(heads=a.heads) is not None and a.short_convolution % 2 == 0:
        rule = (
            f"'{a.mask.text}' looks ahead, so that the places lie around each, and {a.short_convolution} have no middle"
        )
        yield Fault(("short_convolution",), rule, f"write {a.short_convolution + 1}, or a causal mask")


def _clip(a: AnyAttention) -> Iterator[Fault]:
    if not isinstance(a, MultiHead) or a.qk_clip is None:
        return
    if "query" not in a.projections:
        yield Fault(("qk_clip",), "there is no query map, so that nothing reads this", "add query to the projections")
    if not isinstance(a.qk_norm, NoNorm):
        yield Fault(("qk_clip",), "qk_norm takes back what scaling the maps does: it changes nothing", "leave one out")
    if a.score.kind not in ("scaled_dot", "dot", "general"):
        rule = f"the score '{a.score.kind}' does not grow with its query and key as their maps do"
        yield Fault(("qk_clip",), rule, "write score: scaled_dot, dot or general, or leave qk_clip out")
    if isinstance(a.position, Pope):
        rule = "the lengths that 'pope' makes do not grow with the query and key as their maps do"
        yield Fault(("qk_clip",), rule, "write another position, or leave qk_clip out")


def _output(a: AnyAttention) -> Iterator[Fault]:
    if a.output != "linear" and "output" not in a.projections:
        yield Fault(("output",), "there is no output map, so that nothing reads this", "add output to the projections")


def _select(site: Site) -> Iterator[Fault]:
    select = site.attention.select
    if isinstance(select, Indexer):
        yield from _indexer(site, select)
    if isinstance(select, (Top, Indexer)) and not _sees_more(site, select.keys):
        rule = f"{_no_query(site, select.keys)}, so the best {select.keys} are all of them"
        yield Fault(("select", "keys"), rule, "write fewer, or leave select out")


def _indexer(site: Site, select: Indexer) -> Iterator[Fault]:
    a = site.attention
    if isinstance(site.stack, Recurrent):
        rule = f"an indexer learns of the weights of all queries of a pass at once, and '{site.name}' asks step by step"
        yield Fault(("select",), rule, "write select: {kind: top, …}, or leave it out")
    if a.kv_from is not None:
        rule = f"an indexer reads the states that keys are made of, and the keys are those of '{a.kv_from}'"
        yield Fault(("select",), rule, "leave kv_from or select out")
    if isinstance(a.position, (Rotary, Xpos)) and a.position.d_rotary > select.d_head:
        rule = f"d_rotary {a.position.d_rotary} is wider than an index key, {select.d_head}"
        yield Fault(("select", "d_head"), rule, f"write at least {a.position.d_rotary}")


def _budget(site: Site) -> Iterator[Fault]:
    a = site.attention
    if not isinstance(a.normalizer, Budget):
        return
    keys, fewer = a.normalizer.keys, "write fewer, or another normalizer"
    if isinstance(a.select, (Top, Indexer)) and a.select.keys + a.persistent <= keys:
        rule = f"of the {a.select.keys + a.persistent} keys that are selected, a budget of {keys} pays each whole"
        yield Fault(("normalizer", "keys"), f"{rule}: no score would count", fewer)
    elif not _sees_more(site, keys - a.persistent):
        rule = f"{_no_query(site, keys)}, so a budget of {keys} pays each whole: no score would count"
        yield Fault(("normalizer", "keys"), rule, fewer)


def _sees_more(site: Site, keys: int) -> bool:
    """Whether some query sees more than so many keys; masks of long texts are taken to show all."""
    mask = site.attention.mask
    if keys >= site.k_length or max(site.q_length, site.k_length) > MOST_COUNTED:
        return keys < site.k_length
    heads = range(site.attention.heads if "h" in mask.names else 1)
    return any(row.bit_count() > keys for head in heads for row in mask.rows(site.q_length, site.k_length, head))


def _no_query(site: Site, keys: int) -> str:
    most = f"more than {min(keys, site.k_length)} keys"
    return (
        f"no query sees {most}" if keys >= site.k_length else f"under '{site.attention.mask.text}' no query sees {most}"
    )


def _span(site: Site) -> Iterator[Fault]:
    a, span = site.attention, site.attention.span
    if not isinstance(span, Adaptive):
        return
    if a.normalizer.kind not in (*SINKING, "sum"):
        rule = f"weights that fade are divided by their sum, and a row of '{a.normalizer.kind}' does not sum to 1"
        yield Fault(("span",), rule, f"write a normalizer of {listed((*SINKING, 'sum'))}, or leave span out")
    if site.source is not None:
        rule = f"a span is a distance, and '{site.name}' and '{site.source}' share no positions"
        yield Fault(("span",), rule, "leave span out of cross_attention")
    elif span.maximum > site.k_length:
        rule = f"no key of '{site.name}' is {span.maximum} tokens away: it has {site.k_length}"
        yield Fault(("span", "maximum"), rule, f"write at most {site.k_length}")


def _length(site: Site) -> Iterator[Fault]:
    temperature = site.attention.length_temperature
    if isinstance(temperature, Llama4Temperature) and temperature.floor > site.q_length:
        rule = f"the factor is 1 up to position {temperature.floor}, and '{site.name}' has {site.q_length}"
        yield Fault(("length_temperature", "floor"), rule, f"write at most {site.q_length}, or leave it out")


def _pairs(a: AnyAttention) -> Iterator[Fault]:
    """A pair has two queries and two maps: what follows from one query, or from earlier weights, is not one thing."""
    if not isinstance(a, Differential):
        return
    told = {
        "span": a.span.kind == "predicted",
        "score": isinstance(a.score, SEQUENTIAL_SCORES),
        "normalizer": isinstance(a.normalizer, SEQUENTIAL),
    }
    for key in (key for key, clashes in told.items() if clashes):
        rule = f"'{getattr(a, key).kind}' follows one map of weights, and a pair of differential attention has two"
        yield Fault((key,), rule, f"write another {key}, or kind: multi_head")
