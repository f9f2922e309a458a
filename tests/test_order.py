"""The order of one attention: the picture, the words, and what runs say the same."""

import re
from pathlib import Path

import torch

from attncli.nn.view import view_of_self
from attncli.streams import stream
from tests import order
from tests.nn.oracle import attention

DOCS = Path(__file__).parent.parent / "docs"
ALL = (
    "{qk_norm: rms_norm, length_temperature: {kind: llama4, floor: 2}, talking_heads: both, gate: sigmoid, "
    "select: {kind: top, keys: 2}, sink: learned, span: {kind: adaptive, maximum: 8}, "
    "context_norm: rms_norm, head_scale: learned}"
)
MODULES = {
    "query": "project", "query_norm": "qk_norm", "score": "score with its scale",
    "weighing.temperature": "length_temperature", "weighing.before": "talking_heads", "weighing.select": "select",
    "weighing.sink": "sink", "weighing.normalizer": "normalizer in float32", "weighing.reach": "span",
    "weighing.after": "talking_heads", "ending.norm": "context_norm", "ending.scale": "head_scale", "output": "output",
}  # fmt: skip
"""The steps that are modules."""


def test_the_picture_is_drawn_from_the_order_that_the_code_states():
    assert (DOCS / "pictures" / "order.svg").read_text(encoding="utf-8") == order.picture(), (
        "python -m tests.order > docs/pictures/order.svg"
    )
    assert [step for _, _, own in order.lanes() for step in own] == order.steps()
    assert {told for told, _, _ in order.lanes()} == {told for told, _ in order.LANES.values()}


def test_the_reference_shows_the_picture_and_has_the_same_words():
    text = (DOCS / "language.md").read_text(encoding="utf-8")
    assert "](pictures/order.svg)" in text
    written = re.search(r"The order of one attention: (.*?)\.\s", text, re.S)
    words = [" ".join(step.split()) for step in written[1].split(",")]
    same = {"qk_norm and v_norm": "qk_norm", "rotary": "position's turn"}
    made = ", ".join(same.get(step, step) for step in words).replace("score, scale,", "score with its scale,")
    assert made == ", ".join(order.steps())


def test_the_steps_run_in_that_order():
    module, seen = attention(steps=ALL, mask="causal", kernel="reference"), []
    for name in MODULES:
        module.get_submodule(name).register_forward_hook(lambda *given, name=name: seen.append(name))
    x = torch.randn(1, 4, 12, dtype=torch.float64)
    module(x, x, view_of_self(stream([[1] * 4], pad=0)))
    assert seen == list(MODULES)
    places, stated = [], order.steps()
    for name in seen:
        start = places[-1] + 1 if places and MODULES[name] in stated[places[-1] + 1 :] else 0
        places.append(stated.index(MODULES[name], start))
    assert places == sorted(places)
