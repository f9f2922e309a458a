"""What is allowed and worth a word."""

from collections.abc import Iterator

from attncli.spec.masks.rules import mask_notes
from attncli.spec.model import Model
from attncli.spec.positions import NoPosition
from attncli.spec.rules.attention import MOST_TRIED
from attncli.spec.rules.sections import Where, sites
from attncli.spec.stacks import Transformer


def notes(model: Model) -> Iterator[tuple[Where, str]]:
    """Remarks on a valid model, each with the keys that lead to what it is about."""
    for site in sites(model):
        lengths = {"q_length": min(site.q_length, MOST_TRIED), "k_length": min(site.k_length, MOST_TRIED)}
        for text in mask_notes(site.attention.mask, heads=site.attention.heads, **lengths):
            yield (*site.where, "mask"), text
    for name, stack in model.stacks.items():
        if isinstance(stack, Transformer):
            yield from _positions(name, stack)


def _positions(name: str, stack: Transformer) -> Iterator[tuple[Where, str]]:
    own = [attention for layer in stack.layers for attention in layer.attentions]
    relative = [attention.position.kind for attention in own if not isinstance(attention.position, NoPosition)]
    absolute = not isinstance(stack.input.position, NoPosition)
    if absolute and relative:
        yield (
            ("model", name, "input", "position"),
            f"'{name}' has positions twice: {stack.input.position.kind} and {relative[0]}",
        )
    if own and not absolute and not relative and all(attention.mask.full for attention in own):
        yield ("model", name), f"'{name}' knows no positions: it reads its tokens as a bag"
