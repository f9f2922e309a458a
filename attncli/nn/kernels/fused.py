"""torch's scaled_dot_product_attention: the weights are never held."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend

from attncli.nn.kernels import few


class Call(NamedTuple):
    """Queries (b h q e), keys (b g k e) and values (b g k v), with what is seen and added.

    `triangle` hides the keys behind each query (queries and keys being the same places); then `visible` is not read.
    `ahead` keys in front are seen by every query, and stand before the triangle.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scale: float
    triangle: bool
    visible: Tensor | None
    bias: Tensor | None
    ahead: int = 0


def widened(value: Tensor, extra: int) -> Tensor:
    """Values with features of 0 behind them, as wide as keys that a score makes wider; outputs are cut again."""
    return F.pad(value, (0, extra)) if extra else value


def with_sink(call: Call, sink: Tensor) -> Call:
    """The same call with a logit of each head (h) that takes its share: one more key in front, whose value is 0.

    Queries get one more feature, sink / scale, and keys too: 1 of the new key, 0 of the others.
    """
    query, key, value = call.query, call.key, call.value
    feature = (sink / call.scale).to(query.dtype).view(-1, 1, 1).expand(*query.shape[:3], 1)
    unit = F.one_hot(torch.tensor(key.shape[3], device=key.device)).to(key.dtype).expand(*key.shape[:2], 1, -1)
    visible = None if call.visible is None else F.pad(call.visible, (1, 0), value=True)
    return call._replace(
        query=torch.cat((query, feature), -1),
        key=torch.cat((unit, F.pad(key, (0, 1))), 2),
        value=F.pad(value, (0, 1, 1, 0)),
        visible=visible,
        bias=None if call.bias is None else F.pad(call.bias, (1, 0)),
        ahead=call.ahead + 1,
    )


def attend(call: Call, *, dropout: float) -> Tensor:
    """Outputs (b h q v). A row that sees no key gives zeros."""
    if not dropout and call.bias is None and few.serves(call.query, call.key):
        return _over_few(call)
    call = _square(call)
    if call.bias is not None:
        hidden = causal(call.query, call.key) if call.triangle else call.visible
        mask: Tensor | None = _hidden_in(call.bias.to(call.query.dtype), hidden)
        triangle = False
    else:
        triangle = call.triangle
        mask = None if triangle else call.visible
    out = F.scaled_dot_product_attention(
        call.query, call.key, call.value, attn_mask=mask, dropout_p=dropout, is_causal=triangle, scale=call.scale,
        enable_gqa=call.query.shape[1] != call.key.shape[1],
    )  # fmt: skip
    if call.visible is not None and not call.triangle and call.query.device.type != "cpu":
        # Kernels of some devices give such rows the mean of V; the CPU's give zeros, and a test holds it.
        out = out.masked_fill(~call.visible.any(-1, keepdim=True), 0.0)
    return out[:, :, call.ahead :] if call.triangle else out


def _over_few(call: Call) -> Tensor:
    visible = call.visible
    triangle = call.triangle and not call.ahead
    if call.triangle and call.ahead:
        visible = F.pad(causal(call.query, call.query), (call.ahead, 0), value=True)
    return few.attend(call.query, call.key, call.value, scale=call.scale, triangle=triangle, visible=visible)


def _square(call: Call) -> Call:
    """torch's triangle starts at the first key, so with keys in front it needs as many queries there: of zeros."""
    if not call.triangle or not call.ahead:
        return call
    bias = None if call.bias is None else F.pad(call.bias, (0, 0, call.ahead, 0))
    return call._replace(query=F.pad(call.query, (0, 0, call.ahead, 0)), bias=bias)


def _hidden_in(bias: Tensor, visible: Tensor | None) -> Tensor:
    return bias if visible is None else bias.masked_fill(~visible, -torch.inf)


def causal(query: Tensor, key: Tensor) -> Tensor:
    """Bool (q k): the triangle."""
    return torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()


def told(call: Call, *, dropout: float) -> tuple[Tensor, Tensor | None]:
    """What `attend` gives, bit for bit, and the log-sum-exp (b h q) that its kernel divided by; None where it does not
    tell: on the CPU the fused form alone does."""
    squared = _square(call)
    query, key, value = squared.query, squared.key, squared.value
    if query.device.type != "cpu" or query.shape[-1] != value.shape[-1] or query.requires_grad or dropout:
        return attend(call, dropout=dropout), None
    heads, mask = query.shape[1], None
    if call.bias is not None or not call.triangle:
        hidden = causal(query, key) if call.triangle else call.visible
        if squared.bias is not None:
            mask = _hidden_in(squared.bias.to(query.dtype), hidden)
        elif hidden is not None:
            mask = _hidden_in(torch.zeros_like(hidden, dtype=query.dtype), hidden)
    if mask is not None:
        mask = mask.expand(query.shape[0], heads, query.shape[2], key.shape[2])
    triangle = call.triangle and mask is None
    grouped = heads != key.shape[1]
    chosen = torch._fused_sdp_choice(
        query, key, value, mask, 0.0, triangle, scale=call.scale, enable_gqa=grouped
    )  # fmt: skip
    if chosen != SDPBackend.FLASH_ATTENTION.value:
        return attend(call, dropout=dropout), None
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    try:
        out, lse = kernel(query, key, value, 0.0, triangle, attn_mask=mask, scale=call.scale)
    except RuntimeError:  # releases of torch whose kernel has no groups repeat the heads before they call it
        key, value = (x.repeat_interleave(heads // x.shape[1], dim=1) for x in (key, value))
        out, lse = kernel(query, key, value, 0.0, triangle, attn_mask=mask, scale=call.scale)
    if not isinstance(lse, Tensor):
        return attend(call, dropout=dropout), None
    return (out[:, :, call.ahead :], lse[:, :, call.ahead :]) if call.triangle else (out, lse)
