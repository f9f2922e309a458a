"""torch's scaled_dot_product_attention: the weights are never held."""

import torch
from torch import Tensor
from torch.nn import functional as F


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float,
    triangle: bool,
    visible: Tensor | None,
    bias: Tensor | None,
    dropout: float,
) -> Tensor:
    """Outputs (b h q v) for queries (b h q e), keys (b g k e) and values (b g k v). A row that sees no key gives zeros.

    `triangle` hides the keys behind each query (queries and keys being the same places); then `visible` is not read.
    """
    if bias is not None:
        hidden = causal(query, key) if triangle else visible
        mask: Tensor | None = _hidden_in(bias.to(query.dtype), hidden)
        triangle = False
    else:
        mask = None if triangle else visible
    out = F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=triangle, scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    if visible is not None and not triangle and query.device.type != "cpu":
        # Kernels of some devices give such rows the mean of V; the CPU's give zeros, and a test holds it.
        out = out.masked_fill(~visible.any(-1, keepdim=True), 0.0)
    return out


def _hidden_in(bias: Tensor, visible: Tensor | None) -> Tensor:
    return bias if visible is None else bias.masked_fill(~visible, -torch.inf)


def causal(query: Tensor, key: Tensor) -> Tensor:
    """Bool (q k): the triangle."""
    return torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()


def log_sum_exp(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float,
    triangle: bool,
    visible: Tensor | None,
    bias: Tensor | None,
) -> Tensor | None:
    """(b h q): what the CPU's fused kernel divided by, from that very kernel; None where it does not run or tell."""
    if query.device.type != "cpu" or query.shape[-1] != value.shape[-1] or query.requires_grad:
        return None
    heads = query.shape[1]
    if key.shape[1] != heads:
        key, value = (x.repeat_interleave(heads // x.shape[1], dim=1) for x in (key, value))
    mask = None
    if bias is not None or not triangle:
        hidden = causal(query, key) if triangle else visible
        if bias is not None:
            mask = _hidden_in(bias.to(query.dtype), hidden)
        elif hidden is not None:
            mask = _hidden_in(torch.zeros_like(hidden, dtype=query.dtype), hidden)
    if mask is not None:
        mask = mask.expand(query.shape[0], heads, query.shape[2], key.shape[2])
    _, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, triangle and mask is None, attn_mask=mask, scale=scale
    )
    return lse if isinstance(lse, Tensor) else None
