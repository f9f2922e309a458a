"""What a stack reads. Mirrors attncli/spec/inputs.py."""

from torch import Tensor, nn

from attncli.nn.affine import Linear
from attncli.nn.dropout import drop
from attncli.nn.norms import build_norm
from attncli.nn.positions import Absolute, build_absolute
from attncli.spec import inputs as spec
from attncli.spec.tokenizer import UNKNOWN
from attncli.streams import Stream


class Tokens(nn.Module):
    """dropout(norm(scale E[id] + S[segment] + position)), then a map to d_model if the embedding has another width."""

    def __init__(
        self, *, vocabulary: int, d_embedding: int, d_model: int, scale: float, segments: int | None,
        position: Absolute, norm: nn.Module, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d_embedding)
        self.segments = None if segments is None else nn.Embedding(segments, d_embedding)
        self.position = position
        self.norm = norm
        self.map = Linear(d_embedding, d_model) if d_embedding != d_model else nn.Identity()
        self.scale = scale
        self.dropout = dropout
        self.extended = False
        """Whether ids behind the vocabulary may come, which stand for words of one row and are read as unknown."""

    def forward(self, tokens: Stream, positions: Tensor) -> Tensor:
        """Ids (b n) with positions (b|1 n) to states (b n d)."""
        ids = tokens.values
        if self.extended:
            ids = ids.masked_fill(ids >= self.embedding.num_embeddings, UNKNOWN)
        x = self.embedding(ids)
        if self.scale != 1.0:
            x = x * self.scale
        if self.segments is not None:
            parts = tokens.carried.get("segment")  # -1 where there is no token
            x = x + (self.segments.weight[0] if parts is None else self.segments(parts.clamp(min=0)))
        x = self.norm(self.position(x, positions))
        out: Tensor = self.map(drop(x, self.dropout, self.training))
        return out


def build_input(tokens: spec.Tokens, *, vocabulary: int, d_model: int, max_length: int) -> Tokens:
    """The module of an input."""
    match tokens.scale:
        case "none":
            scale = 1.0
        case "sqrt_d_model":
            scale = float(d_model) ** 0.5
        case number:
            assert not isinstance(number, str)
            scale = number
    return Tokens(
        vocabulary=vocabulary,
        d_embedding=tokens.d_embedding,
        d_model=d_model,
        scale=scale,
        segments=tokens.segments,
        position=build_absolute(tokens.position, d_model=tokens.d_embedding, max_length=max_length),
        norm=build_norm(tokens.norm, width=tokens.d_embedding),
        dropout=tokens.dropout,
    )
