"""Rows with query, key and value maps of their own. Part of attncli/nn/attention.py.

    out = A(x W_q, m W_k, m W_v | rows of the first maps) + A(x W'_q, m W'_k, m W'_v | rows of the second)

A row that sees nothing gives zeros, so each of two attentions hides the other's rows and the mixtures are added; all
but the three maps is one. Beltagy et al. 2020, arXiv:2004.05150, section 3.1 (linear projections for global attention).
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from attncli.nn.attention import Asked, Attention, Projected, parts_of
from attncli.nn.positions import Relative
from attncli.nn.steps import Ending
from attncli.nn.view import View
from attncli.spec import attention as spec
from attncli.spec.masks import Mask

MAPPED = ("query", "key", "value")


class TwiceProjected(Attention):
    """An attention with a second one for the rows that `rows` chooses by q; `parts` are those of an attention."""

    def __init__(self, *, rows: Mask, mask: Mask, **parts: Any) -> None:
        super().__init__(mask=mask.of_rows(rows, chosen=False), **parts)
        inner = {
            "projections": tuple(name for name in parts["projections"] if name in MAPPED), "gate": None,
            "ending": Ending(norm=nn.Identity(), scale=nn.Identity()), "on_attention": False,
        }  # fmt: skip
        self.second = Attention(mask=mask.of_rows(rows, chosen=True), **parts | inner)
        self.rows = rows

    def stand(self, address: str, mask: Mask) -> None:
        super().stand(address, mask.of_rows(self.rows, chosen=False))
        self.second.stand(f"{address}.second", mask.of_rows(self.rows, chosen=True))

    def ask(self, x: Tensor, view: View) -> Asked:
        chosen = self._chosen(view)
        if chosen is None:
            return super().ask(x, view)
        places, part = chosen
        return super().ask(x, view)._replace(second=self.second.ask(x[:, places], part))

    def read(self, memory: Tensor, view: View, first: Tensor | None = None) -> Projected:
        """What the first maps give, then what the second do."""
        return *super().read(memory, view, first), *self.second.read(memory, view, first)

    def attend(self, asked: Asked, projected: Projected, view: View) -> Tensor:
        half = len(projected) // 2
        mixed = self.serve(self.ready(asked, projected[:half], view))
        chosen = self._chosen(view)
        if chosen is not None and asked.second is not None:
            places, part = chosen
            own = self.second.serve(self.second.ready(asked.second, projected[half:], part))
            mixed = mixed.index_add(2, places, own.to(mixed.dtype))
        return self.end(mixed, asked)

    def _chosen(self, view: View) -> tuple[Tensor, View] | None:
        """The places of which some text chooses one, and they alone as queries; None where there is none.

        A tap is shown all queries, so that a map has them.
        """
        return view.once((self.rows, "second"), lambda: _narrowed(view, self.rows))


def build_second(
    attention: spec.MultiHead, rows: Mask, *, d_query: int, d_memory: int, d_output: int, position: Relative, depth: int
) -> TwiceProjected:
    """The module of an attention with second projections."""
    widths = {"d_query": d_query, "d_memory": d_memory, "d_output": d_output}
    return TwiceProjected(
        rows=rows, mask=attention.mask, **parts_of(attention, **widths, position=position, depth=depth)
    )


def _narrowed(view: View, rows: Mask) -> tuple[Tensor, View] | None:
    positions = view.query_positions
    if view.tap is not None:
        return torch.arange(positions.shape[1], device=positions.device), view
    chosen = torch.as_tensor(rows.allows(positions, torch.zeros_like(positions)), device=positions.device)
    places = chosen.any(0).nonzero().flatten()
    if not len(places):
        return None
    if len(places) == positions.shape[1]:
        return places, view
    documents, ways = view.query_documents, view.ways
    part = replace(
        view, query_positions=positions[:, places], aligned=False, near=False, memo={},
        query_documents=None if documents is None else documents[:, places],
        query_carried={name: numbers[:, places] for name, numbers in view.query_carried.items()},
        ways=None if ways is None else ways[:, places],
    )  # fmt: skip
    return places, part
