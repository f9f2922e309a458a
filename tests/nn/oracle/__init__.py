"""One attention by itself, and steps away from it; attncli/checking/oracle.py tells what it must give."""

import copy
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from attncli.checking.oracle import normalizer_of, outputs, score_of
from attncli.nn.attention import Attention, build_attention
from attncli.nn.latent import build_latent
from attncli.spec.attention import Attention as AttentionSpec
from attncli.spec.attention import Latent
from tests.nn.models import read, shake

__all__ = ["attention", "moved", "normalizer_of", "outputs", "score_of"]


def attention(
    *,
    score: str = "{kind: scaled_dot, scale: 0.4}",
    normalizer: str = "softmax",
    position: str = "none",
    mask: str = "full",
    heads: str = "{heads: 4, kv_heads: 2, d_head: 6, d_value: 7}",
    steps: str = "{}",
    kernel: str = "auto",
    dropout: float = 0.0,
    d_query: int = 12,
    d_memory: int = 12,
    d_output: int = 11,
    dtype: torch.dtype = torch.float64,
) -> Attention:
    """One attention with drawn weights, in evaluation."""
    given = {"bias": True, "norm": "none", "norm_place": "pre", "dropout": dropout, "mask": mask, "kernel": kernel}
    given |= {"score": read(score), "normalizer": read(normalizer), "position": read(position), "kind": "multi_head"}
    given |= read(heads)
    width = d_query // given["heads"]
    if given["kind"] == "latent":
        return _latent(given, d_query, d_memory, d_output).to(dtype)
    given = {"kv_heads": given["heads"], "d_head": width} | given | read(steps)
    given = {"d_value": given["d_head"]} | given
    module = build_attention(
        TypeAdapter(AttentionSpec).validate_python(given), d_query=d_query, d_memory=d_memory, d_output=d_output
    )
    shake(module)
    return module.to(dtype).eval()


def _latent(given: dict[str, Any], d_query: int, d_memory: int, d_output: int) -> Attention:
    kept = {key: value for key, value in given.items() if key not in ("score", "normalizer")}
    module = build_latent(Latent.model_validate(kept), d_query=d_query, d_memory=d_memory, d_output=d_output)
    shake(module)
    return module.eval()


def moved(module: nn.Module, directions: dict[str, Tensor], by: float) -> Any:
    """A copy whose parameters lie a step along the directions."""
    other = copy.deepcopy(module)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            parameter += by * directions[name]
    return other
