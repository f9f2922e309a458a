"""What a tap is told of the pairs of an attention: made again from what the kernel read, for as many as are asked for.

Part of attncli/nn/serving.py.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn.functional import pad

from attncli.nn.records import EVERY, Pairs

if TYPE_CHECKING:
    from attncli.nn.serving import Ready, Served


@dataclass(frozen=True)
class Remade:
    """A Joining of an attention that holds no pairs. `merged`: the kernel added all that a position adds as a bias."""

    served: "Served"
    ready: "Ready"
    merged: bool

    def reach(self, rows: slice) -> slice:
        every, ahead = range(self.ready.query.shape[2])[rows], self.served.ahead
        near = self.served.reach(self.ready.view, slice(every.start, every.stop))
        some = range(self.ready.key.shape[2] - ahead)[near]
        return slice(0 if ahead else some.start, some.stop + ahead)

    def pairs(self, rows: slice, keys: slice) -> Pairs:
        ahead, total = self.served.ahead, self.ready.key.shape[2]
        # what was kept of the keys is summed up from the first one on; keys in front stand at no place of the view
        whole = len(self.ready.kept) > 0 or (ahead > 0 and range(total)[keys].start > 0)
        made = self.served.pairs(part_of(self.ready, rows, EVERY if whole else keys, ahead=ahead), merged=self.merged)
        if not whole:
            return made
        if made.bias is not None:
            made = made._replace(bias=pad(made.bias, (0, total - made.bias.shape[3])))
        return Pairs(*(each if each is None or each.shape[3] == 1 else each[..., keys] for each in made))


def part_of(ready: "Ready", rows: slice, keys: slice, *, ahead: int) -> "Ready":
    """The same of some queries and some keys, those in front among them."""
    first, last, _ = keys.indices(ready.key.shape[2])
    places = slice(max(0, first - ahead), last - ahead)
    _, end, _ = rows.indices(ready.query.shape[2])
    upto = ready.key.shape[2] - ahead - ready.query.shape[2] + end

    def asked(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[:, :, rows]

    return ready._replace(
        query=ready.query[:, :, rows],
        key=ready.key[:, :, keys],
        value=ready.value[:, :, keys],
        kept=tuple(each[:, :, :upto] for each in ready.kept),
        view=ready.view.part(rows, places),
        turned=ready.turned[:, :, rows],
        trail=tuple(each[..., keys] for each in ready.trail),
        demand=asked(ready.demand),
        indexed=None if ready.indexed is None else ready.indexed[:, :, rows, places],
    )
