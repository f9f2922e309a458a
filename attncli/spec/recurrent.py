"""Recurrent stacks: encoders, and decoders that attend at every step. Mirrored by attncli/nn/recurrent.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from attncli.spec.attention import Cross
from attncli.spec.base import Absent, Bool, Count, Derived, Fault, Kinds, Rate, Spec
from attncli.spec.inputs import Input


class Gru(Spec):
    """Gated recurrent unit, reset gate after the matrix product as torch has it. Cho et al. 2014, arXiv:1406.1078."""

    kind: Literal["gru"] = "gru"


class Lstm(Spec):
    """Long short-term memory. Hochreiter & Schmidhuber 1997; torch's form, without peepholes."""

    kind: Literal["lstm"] = "lstm"


Cell = Annotated[Gru | Lstm, Kinds("cell")]


class Forward(Spec):
    """From the first token to the last."""

    kind: Literal["forward"] = "forward"


class Backward(Spec):
    """From the last token to the first."""

    kind: Literal["backward"] = "backward"


class Both(Spec):
    """Both ways, the states of a token laid side by side or added."""

    kind: Literal["both"] = "both"
    merge: Literal["concatenate", "sum"] = "concatenate"


Direction = Annotated[Forward | Backward | Both, Kinds("direction")]


class DenseBridge(Spec):
    """First state of the decoder: activation(W x + b) of the encoder's states. Bahdanau et al. 2015, appendix A.2.2."""

    kind: Literal["dense"] = "dense"
    of: Annotated[Literal["final", "backward", "mean"], Derived("final; mean after an encoder without final state")]
    activation: Literal["tanh", "relu", "none"] = "tanh"


class CopyBridge(Spec):
    """First state of the decoder: the encoder's last, layer by layer. Sutskever et al. 2014, arXiv:1409.3215."""

    kind: Literal["copy"] = "copy"


class NoBridge(Spec):
    """The decoder starts from zeros."""

    kind: Literal["none"] = "none"


Bridge = Annotated[DenseBridge | CopyBridge | NoBridge, Kinds("bridge")]


class NoFeeding(Spec):
    """The cell reads the embedded token alone."""

    kind: Literal["none"] = "none"


class ContextFeeding(Spec):
    """The cell reads the token and a context: this step's where the query is a previous state (Bahdanau et al. 2015),
    the last step's where the query is the new state."""

    kind: Literal["context"] = "context"
    combine: Literal["concatenate", "linear", "relu"] = "concatenate"


class ReadoutFeeding(Spec):
    """The cell reads the token and the last step's readout. Luong et al. 2015, arXiv:1508.04025, section 3.3."""

    kind: Literal["readout"] = "readout"
    combine: Literal["concatenate", "linear", "relu"] = "concatenate"


Feeding = Annotated[NoFeeding | ContextFeeding | ReadoutFeeding, Kinds("input_feeding")]


class DenseReadout(Spec):
    """activation(W [context; state] + b). Luong et al. 2015, arXiv:1508.04025, eq. 5."""

    kind: Literal["dense"] = "dense"
    d_hidden: Annotated[Count, Derived("the stack's")]
    activation: Literal["tanh", "relu", "none"] = "tanh"


class StateReadout(Spec):
    """The state alone."""

    kind: Literal["state"] = "state"


Readout = Annotated[DenseReadout | StateReadout, Kinds("readout")]


class Recurrent(Spec):
    """GRU or LSTM layers; with cross_attention, a decoder that attends to another stack once a step."""

    kind: Literal["recurrent"] = "recurrent"
    d_hidden: Count = 256
    """Width of the state, of one direction."""
    layers: Count = 1
    max_length: Count = 1024
    cell: Cell = Gru()
    direction: Direction = Forward()
    input: Annotated[Input, Derived("tokens")]
    dropout: Rate = 0.1
    """Between layers, and on the readout."""
    bias: Bool = True
    bridge: Annotated[Bridge, Derived("dense beside cross_attention, else none")]
    cross_attention: Annotated[Cross | None, Absent] = None
    query: Literal["state", "previous_state", "input_and_previous_state"] = "state"
    """What asks: the new state (Luong), the previous one (Bahdanau), or the token beside the previous one."""
    input_feeding: Annotated[Feeding, Derived("context where the query is a previous state, else none")]
    readout: Annotated[Readout, Derived("dense beside cross_attention, else state")]

    @property
    def d_output(self) -> int:
        """Width of a state of this stack as others read it."""
        return self.d_hidden * (2 if isinstance(self.direction, Both) and self.direction.merge == "concatenate" else 1)

    @property
    def d_readout(self) -> int:
        """Width of what the head reads."""
        return self.readout.d_hidden if isinstance(self.readout, DenseReadout) else self.d_output

    @property
    def d_query(self) -> int:
        """Width of what asks."""
        return self.d_hidden + (self.input.d_embedding if self.query == "input_and_previous_state" else 0)

    def faults(self) -> Iterator[Fault]:
        if self.cross_attention is None:
            return
        if not isinstance(self.direction, Forward):
            yield Fault(
                ("direction",),
                "a decoder writes from the first token to the last",
                "leave direction out, or take cross_attention away",
            )
        if (
            self.query != "state"
            and isinstance(self.input_feeding, NoFeeding)
            and isinstance(self.readout, StateReadout)
        ):
            yield Fault(
                ("input_feeding",),
                "no one reads the context: neither the cell nor the readout",
                "write input_feeding: context, or readout: dense",
            )
        if (
            self.query == "state"
            and isinstance(self.readout, StateReadout)
            and isinstance(self.input_feeding, NoFeeding)
        ):
            yield Fault(
                ("readout",),
                "no one reads the context: neither the cell nor the readout",
                "write readout: dense, or input_feeding: context",
            )
