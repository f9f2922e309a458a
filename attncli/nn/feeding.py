"""Which recurrent decoders train in the loop of attncli/nn/kernels/fed.py, and what it is given.

The loop has the GRU that is fed its last readout and asks an additive attention with its new state; others take their
steps one by one. Both give the same to rounding.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.attention import Attention, Projected
from attncli.nn.cells import weights_of
from attncli.nn.dropout import drop
from attncli.nn.gated import Gru, written_out
from attncli.nn.kernels.fed import Given, fed
from attncli.nn.normalizers import Softmax
from attncli.nn.positions import Relative
from attncli.nn.readouts import DenseReadout, Readout
from attncli.nn.scores import Additive
from attncli.nn.view import View


def unfed(
    attention: Attention, rnn: nn.RNNBase, readout: Readout | None, *, query: str, feeding: str, combined: bool,
    points: bool,
) -> tuple[str, ...]:  # fmt: skip
    """What of a decoder the loop does not have, as the spec names it."""
    plain = isinstance(readout, DenseReadout) and readout.kind == "none" and readout.squash == "tanh"
    between = (attention.query, attention.output, attention.query_norm, attention.ending.norm, attention.ending.scale)
    steps = any(type(module) is not nn.Identity for module in between) or attention.gate is not None
    weighing, others = attention.weighing, (attention.span, attention.key_dropout, attention.indexer, attention.short)
    for part in ("temperature", "cap", "before", "selective", "select", "sink", "reach", "after", "difference"):
        steps |= getattr(weighing, part) is not None
    found = {
        "cell but one layer of gru": not isinstance(rnn, Gru) or rnn.num_layers > 1 or not rnn.bias,
        f"query '{query}'": query != "state",
        f"input_feeding '{feeding}'": feeding != "readout" or combined,
        "readout but dense with tanh, without a gate": not plain,
        "pointer-generator": points,
        "score but additive": type(attention.score) is not Additive,
        "normalizer but softmax": type(attention.weighing.normalizer) is not Softmax,
        "heads but one": attention.maps != 1 or attention.kv_heads != 1,
        "position": type(attention.position) is not Relative,
        f"mask '{attention.mask.text}'": attention.mask.text != "full",
        "step between query, weights and readout": steps
        or attention.persistent is not None
        or attention.shared
        or any(each is not None for each in others),
    }
    return tuple(name for name, holds in found.items() if holds)


def serves(attention: Attention, x: Tensor, view: View) -> bool:
    """Whether the loop takes these tokens: while it learns, where no one looks at the steps."""
    choice = attention.plan(device=x.device.type, dtype=str(x.dtype)[6:], training=attention.training, size=None)
    return choice.kernel == "looped" and written_out(x) and view.tap is None


def readouts(
    attention: Attention, rnn: Gru, readout: DenseReadout, x: Tensor, first: Tensor, projected: Projected, view: View,
    *, dropout: float,
) -> Tensor:  # fmt: skip
    """(b n f): what every step of x (b n i) gives, from the first state (b d) on; projected (b 1 k ·)."""
    score, d_context, width = attention.score, readout.d_context, x.shape[2]
    assert isinstance(score, Additive)
    key, value, *_ = projected
    of_input, of_state, bias, c = weights_of(rnn, 0)
    read = readout.map.weight
    assert readout.map.bias is not None
    visible = view.visible(attention.mask, 1)
    n, b, k = x.shape[1], len(x), key.shape[2]
    learns = readout.training
    made = fed(Given(
        entered=F.linear(x.transpose(0, 1), of_input[:, :width], bias), first=first,
        of_state=of_state, c=c, of_fed=of_input[:, width:], ask=2 * score.query[0].mT,
        key=2 * key.squeeze(1), weight=2 * score.weight[0],
        value=F.linear(value.squeeze(1), read[:, :d_context]), read=read[:, d_context:], b=readout.map.bias,
        hidden=None if visible is None else ~visible[:, 0, 0].expand(b, k),
        kept=drop(x.new_ones(n, b, len(read)), dropout, True) if learns and dropout else None,
        shares=drop(x.new_ones(n, b, k), attention.dropout, True) if learns and attention.dropout else None,
    ))  # fmt: skip
    return made.transpose(0, 1)
