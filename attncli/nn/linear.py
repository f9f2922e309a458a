"""Attention by products of features, as sums that run over the keys. Mirrors attncli/spec/linear.py.

    weights = f(q) . f(k) / sum_k f(q) . f(k) over the keys that are seen

Katharopoulos et al. 2020, arXiv:2006.16236; f of a performer: attncli/nn/features.py. kernels/linear.py gives the
outputs without weights.
"""

from torch import Tensor, nn

from attncli.nn.attention import Asked, Projected
from attncli.nn.features import Favor, Feature, Plain
from attncli.nn.kernels import linear
from attncli.nn.norms import build_norm
from attncli.nn.placing import build_position
from attncli.nn.positions import Relative
from attncli.nn.running import Running
from attncli.nn.scores import Product
from attncli.nn.view import View
from attncli.nn.weighing import Weighing, build_weighing
from attncli.spec import linear as spec
from attncli.spec.masks import Mask


class LinearAttention(Running):
    """An attention whose asked queries and read keys are features, which are positive or 0."""

    REASON = "weights are products of features: sums serve every query, and none is held"

    def __init__(
        self, *, d_query: int, d_memory: int, d_output: int, heads: int, d_head: int, d_value: int, bias: bool,
        feature: Feature, position: Relative, mask: Mask, weighing: Weighing, context_norm: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__(
            d_query=d_query, d_memory=d_memory, d_output=d_output, heads=heads, d_head=d_head, d_key=d_head,
            d_value=d_value, bias=bias, score=Product(scale=1.0), position=position, mask=mask, weighing=weighing,
            context_norm=context_norm,
        )  # fmt: skip
        self.feature = feature

    def ask(self, x: Tensor, view: View) -> Asked:
        return Asked(self.feature(super().ask(x, view).query, view, "query"), None)

    def read(self, memory: Tensor, view: View, first: Tensor | None = None) -> Projected:
        """Features, 0 where there is no token, and values."""
        key, value = super().read(memory, view, first)
        real, key = view.key_real, self.feature(key, view, "key")
        return key if real is None else key.masked_fill(~real[:, None, :, None], 0.0), value

    def absorb(self, before: Tensor | None, read: Projected, start: int) -> Tensor:
        return linear.added(before, *(x[:, :, start:] for x in read))

    def run(self, query: Tensor, key: Tensor, value: Tensor, state: Tensor | None) -> Tensor:
        return linear.attend(query, key, value, causal=self.mask.text == "causal", state=state)


def build_linear(
    attention: spec.Linear | spec.Performer, *, d_query: int, d_memory: int, d_output: int, depth: int = 0
) -> LinearAttention:
    """The module of a linear attention, or of a performer in layer `depth`."""
    feature: Feature
    if isinstance(attention, spec.Linear):
        feature = Plain(kind=attention.feature)
    else:
        feature = Favor(features=attention.features, d_head=attention.d_head, seed=attention.seed, layer=depth,
                        redraws=attention.redraw == "step")  # fmt: skip
    return LinearAttention(
        d_query=d_query, d_memory=d_memory, d_output=d_output, heads=attention.heads, d_head=attention.d_head,
        d_value=attention.d_value, bias=attention.bias, feature=feature, mask=attention.mask,
        position=build_position(attention, d_model=d_query), weighing=build_weighing(attention, depth=0),
        context_norm=build_norm(attention.context_norm, width=attention.d_value),
    )  # fmt: skip
