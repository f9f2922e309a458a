"""The head that writes a word of the vocabulary or one of the source. Its kind is that of attncli/spec/tasks.py.

Shapes: t predicted places (b n, or those with a label), c ids, m words of the source beyond them, k source tokens.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.affine import Linear
from attncli.nn.outputs import Losses, TokenHead, predicted_places, wide
from attncli.nn.states import Copying, States
from attncli.nn.view import Tap
from attncli.streams import Stream


class PointerHead(TokenHead):
    """ln(g softmax(W r + b) + (1 - g) sum_k a_k [id_k = w]), g = sigmoid(G [c; s; x] + h): log-probabilities.

    See et al. 2017, arXiv:1704.04368, eq. 8 and 9. Equal tokens of the source add up. An id from c on is a word of the
    row's own source; where the row has it not, its logarithm is -inf. In float32 or wider.
    """

    def __init__(self, *, d_input: int, d_decides: int, classes: int, bias: bool) -> None:
        super().__init__(
            d_input=d_input,
            classes=classes,
            bias=bias,
            transform=nn.Identity(),
            smoothing=0.0,
            scale=1.0,
            soft_cap=None,
        )
        self.gate = Linear(d_decides, 1)

    def forward(self, states: States, tap: Tap | None = None) -> Tensor:
        """Log-probabilities (b n c+m)."""
        copying = states.copying
        assert copying is not None, "the decoder tells what is pointed at"
        ids = copying.ids.unsqueeze(1).expand(-1, states.values.shape[1], -1)
        return self._mixed(states.values, copying.decides, copying.weights, ids)

    def losses(self, states: States, labels: Stream) -> Losses:
        """-ln p(label) at the places with a label; no probabilities are made elsewhere."""
        copying = states.copying
        assert copying is not None, "the decoder tells what is pointed at"
        predicted = predicted_places(labels)
        target, rows = labels.values[predicted], predicted.nonzero()[:, 0]
        mixed = self._mixed(*_chosen(states.values, copying, predicted), copying.ids[rows])
        gained = mixed.gather(-1, target.unsqueeze(-1)).clamp(min=_least(mixed.dtype))
        nll = -gained.sum()
        count = torch.tensor(len(target), device=target.device)
        return Losses(nll, nll.detach(), count, (mixed.detach().argmax(-1) == target).sum())

    def _mixed(self, readout: Tensor, decides: Tensor, weights: Tensor, ids: Tensor) -> Tensor:
        """(t c+m) of readouts (t d), what decides (t f), weights and ids (t k)."""
        gate = wide(self.gate(decides))
        written = wide(self.logits(readout)).log_softmax(-1) + F.logsigmoid(gate)
        classes = written.shape[-1]
        more = max(0, int(ids.max()) + 1 - classes) if ids.numel() else 0
        copied = written.new_zeros(*written.shape[:-1], classes + more)
        copied = copied.scatter_add(-1, ids, weights.to(written.dtype) * (-gate).sigmoid())
        found = copied > 0
        logs = torch.where(found, copied, torch.ones_like(copied)).log().masked_fill(~found, -torch.inf)
        return torch.logaddexp(F.pad(written, (0, more), value=-torch.inf), logs)


def _chosen(values: Tensor, copying: Copying, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return values[places], copying.decides[places], copying.weights[places]


def _least(dtype: torch.dtype) -> float:
    """A logarithm as low as a probability of the dtype can have: a loss of -inf would end a run."""
    return float(torch.tensor(torch.finfo(dtype).tiny, dtype=torch.float64).log())
