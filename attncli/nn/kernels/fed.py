"""A GRU that is fed its last readout, with additive attention at every step; the backward pass is written out.

    s_i = GRU(x_i, F r_{i-1}, s_{i-1});  p_i = softmax_k(w . tanh(Q s_i + key_k));  r_i = m_i tanh(R s_i + b + p_i V)

V are the values as the readout maps them: R' (p v) = p (R' v), so a step needs no product for its context. With
u = sigmoid(2 Q s + 2 key), tanh is 2 u - 1, and the -1 moves all scores of a row alike, which softmax does not see.
Behind the loop the gradients of each weight are one product over all steps. Bahdanau et al. 2015, arXiv:1409.0473,
appendix A.1.2; Luong et al. 2015, arXiv:1508.04025, section 3.3. Shapes: b rows, n steps, k keys, d units, a hidden
units of the score, f features of a readout. Cost: u is made again backward, which is faster than to read b n k a floats
from the memory. One derivative only.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from attncli.nn.function import Function
from attncli.nn.kernels.gru import advance_, parted, retreat


class Given(NamedTuple):
    """What the loop reads; all but `hidden`, `kept` and `shares` learn."""

    entered: Tensor  # (n b 3d): what the tokens give to the cell, with its first bias
    first: Tensor  # (b d)
    of_state: Tensor  # (3d d), with its bias (3d)
    c: Tensor
    of_fed: Tensor  # (3d f)
    ask: Tensor  # (a d): 2 Q
    key: Tensor  # (b k a): twice the keys as the score reads them
    weight: Tensor  # (a): 2 w
    value: Tensor  # (b k f): V
    read: Tensor  # (f d): R, with its bias (f)
    b: Tensor
    hidden: Tensor | None  # (b k): keys that no one sees
    kept: Tensor | None  # (n b f): m, by which dropout multiplies the readouts
    shares: Tensor | None  # (n b k): by which dropout multiplies the weights


class _Fed(Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        g = Given(*given)
        n, b, d = len(g.entered), *g.first.shape
        entered = g.entered.clone()
        held, states = (entered.new_empty(n, b, d) for _ in range(2))
        weights, readouts = entered.new_empty(n, *g.key.shape[:2]), entered.new_empty(n, b, g.value.shape[2])
        asked, layer = entered.new_empty(n, b, len(g.ask)), torch.empty_like(g.key)
        state, fed = g.first, None
        for i, (part, hold, after) in enumerate(zip(entered, held, states, strict=True)):
            if fed is not None:
                part.addmm_(fed, g.of_fed.mT)
            kept = torch.addmm(g.c, state, g.of_state.mT)
            state = advance_(*parted(part, d), kept, state, after)
            hold.copy_(kept[:, 2 * d :])
            torch.mm(state, g.ask.mT, out=asked[i])
            scores = torch.matmul(_layer(g.key, asked[i], layer), g.weight)
            if g.hidden is not None:
                scores.masked_fill_(g.hidden, torch.finfo(scores.dtype).min)
            share = torch.softmax(scores, 1, out=weights[i])
            if g.hidden is not None:
                share.masked_fill_(g.hidden, 0.0)
            share = share if g.shares is None else share * g.shares[i]
            sums = torch.addmm(g.b, state, g.read.mT).unsqueeze(1)
            torch.tanh(sums.baddbmm_(share.unsqueeze(1), g.value).squeeze(1), out=readouts[i])
            fed = readouts[i] if g.kept is None else readouts[i] * g.kept[i]
        ctx.save_for_backward(*given, entered, held, states, asked, weights, readouts)
        return readouts.clone() if g.kept is None else readouts * g.kept

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grads: Tensor) -> tuple[Tensor | None, ...]:
        size = len(Given._fields)
        g = Given(*ctx.saved_tensors[:size])
        entered, held, states, asked, weights, readouts = ctx.saved_tensors[size:]
        n, b, d = len(entered), *g.first.shape
        into, of_sums, of_ask = (grads.new_empty(n, b, x) for x in (4 * d, grads.shape[2], g.ask.shape[0]))
        of_key, of_weight = torch.zeros_like(g.key), torch.zeros_like(g.key[:, :1])
        layer, slope = torch.empty_like(g.key), torch.empty_like(g.key)
        of_fed, of_state = torch.zeros_like(grads[0]), torch.zeros_like(g.first)
        back, feeds = g.of_state, g.of_fed.roll(d, 0)  # of_fed in the order in which `retreat` gives gradients
        for i in reversed(range(n)):
            grad, share = grads[i] + of_fed, weights[i]
            grad = grad if g.kept is None else grad * g.kept[i]
            torch.mul(grad, 1 - readouts[i].square(), out=of_sums[i])
            of_share = torch.bmm(of_sums[i].unsqueeze(1), g.value.mT).squeeze(1)
            moved = share * (of_share if g.shares is None else of_share * g.shares[i])
            of_scores = torch.addcmul(moved, share, moved.sum(1, keepdim=True), value=-1)
            of_weight.baddbmm_(of_scores.unsqueeze(1), _layer(g.key, asked[i], layer))
            torch.addcmul(layer, layer, layer, value=-1, out=slope)
            of_key.addcmul_(slope, of_scores.unsqueeze(2))
            torch.mul(torch.bmm(of_scores.unsqueeze(1), slope).squeeze(1), g.weight, out=of_ask[i])
            of_state.addmm_(of_ask[i], g.ask).addmm_(of_sums[i], g.read)
            before = states[i - 1] if i else g.first
            passed = retreat(of_state, *parted(entered[i], d), held[i], before, into[i])
            of_state = passed.addmm_(into[i, :, d:], back)
            of_fed = torch.mm(into[i, :, : 3 * d], feeds)
        gave, kept, sums = into[..., : 3 * d], into[..., d:].flatten(0, 1), of_sums.flatten(0, 1)
        before, flat = torch.cat((g.first.unsqueeze(0), states[:-1])).flatten(0, 1), states.flatten(0, 1)
        fed = readouts if g.kept is None else readouts * g.kept
        shares = weights if g.shares is None else weights * g.shares
        of_feed = torch.mm(gave[1:].flatten(0, 1).mT, fed[:-1].flatten(0, 1)).roll(-d, 0)
        return (
            gave.roll(-d, 2), of_state, torch.mm(kept.mT, before), kept.sum(0), of_feed,
            torch.mm(of_ask.flatten(0, 1).mT, flat), of_key.mul_(g.weight), of_weight.sum((0, 1)),
            torch.bmm(shares.permute(1, 2, 0), of_sums.transpose(0, 1)), torch.mm(sums.mT, flat), sums.sum(0),
            None, None, None,
        )  # fmt: skip


def _layer(key: Tensor, asked: Tensor, out: Tensor) -> Tensor:
    """u (b k a) of one step, in `out`."""
    return torch.add(key, asked.unsqueeze(1), out=out).sigmoid_()


def fed(given: Given) -> Tensor:
    """Readouts (n b f)."""
    made: Tensor = _Fed.apply(*given)
    return made
