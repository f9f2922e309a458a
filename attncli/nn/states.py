"""What stacks give to each other, and to the head."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

from attncli.streams import Stream


class Copying(NamedTuple):
    """What a pointer-generator reads beside the states."""

    decides: Tensor  # (b n f) context, state and token
    weights: Tensor  # (b n k) over the tokens of the stack that is read
    ids: Tensor  # (b k) of those tokens


class States(NamedTuple):
    """What a stack gives to others: a vector for each place, and the last states of a recurrent one."""

    values: Tensor  # (b n d)
    stream: Stream
    final: tuple[Tensor, ...] | None = None  # (layers·directions b d_hidden), for an LSTM also the cells
    costs: Mapping[str, Tensor] = MappingProxyType({})  # what attentions add to the loss, by address: sums over tokens
    copying: Copying | None = None
    means: Mapping[str, Tensor] = MappingProxyType({})  # what parts add to the mean loss, by address
    loads: Mapping[str, Tensor] = MappingProxyType({})  # (x) choices that fell on each expert, by address
    left: tuple[Tensor, ...] = ()  # (b m d) what the next segment recalls, of a stack with a memory


Memory = Mapping[str, States]
