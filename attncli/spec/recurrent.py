"""Recurrent stacks: encoders, and decoders that attend at every step. Mirrored by attncli/nn/recurrent.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.attention import Cross
from attncli.spec.base import Absent, Bool, Count, Derived, Fault, Kinds, Rate, Spec
from attncli.spec.inputs import Input


class Gru(Spec):
    """Gated recurrent unit: h' = (1 - z) n + z h. Cho et al. 2014, arXiv:1406.1078, eq. 5 to 8.

    The reset gate r closes the state before its product, n = tanh(W x + U (r h)), as in the paper and in Bahdanau's
    model, or the product after it, n = tanh(W x + r (U h + c)), as torch and cuDNN have it. Either keeps z h, where
    Bahdanau et al. 2015 keep (1 - z) h: the same model, its z with another sign.
    """

    kind: Literal["gru"] = "gru"
    reset: Literal["after", "before"] = "after"
    """Where the reset gate stands: after the product of the state with its matrix, or before it."""


class Lstm(Spec):
    """Long short-term memory. Hochreiter & Schmidhuber 1997; torch's form, without peepholes."""

    kind: Literal["lstm"] = "lstm"


class Rnn(Spec):
    """h' = f(W x + b + U h + c), the unit without gates: old states fade or explode. Elman 1990."""

    kind: Literal["rnn"] = "rnn"
    activation: Literal["tanh", "relu"] = "tanh"


Cell = Annotated[Gru | Lstm | Rnn, Kinds("cell")]


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
    """activation(W c + U s + b) of context and state. Luong et al. 2015, arXiv:1508.04025, eq. 5.

    A gate z = sigmoid(W_z x + U_z s + C_z c + b_z), one number a feature, weighs what comes from the source (c) against
    what was written (s): source z W c + U s, target W c + z U s, both z W c + (1 - z) U s. Tu et al. 2017,
    arXiv:1608.05859, eq. 5 to 8, who gate the cell's input; here, as in OpenNMT, the gate stands in the readout.
    """

    kind: Literal["dense"] = "dense"
    d_hidden: Annotated[Count, Derived("the stack's")]
    activation: Literal["tanh", "relu", "none"] = "tanh"
    gate: Literal["none", "source", "target", "both"] = "none"


class StateReadout(Spec):
    """The state alone."""

    kind: Literal["state"] = "state"


class MaxoutReadout(Spec):
    """max over `pieces` of W [c; s; x] + b: each feature is the largest of that many linear maps of context, state and
    token. Goodfellow et al. 2013, arXiv:1302.4389; Bahdanau et al. 2015, arXiv:1409.0473, appendix A.2.2, with pieces 2
    and the previous state."""

    kind: Literal["maxout"] = "maxout"
    d_hidden: Annotated[Count, Derived("the stack's")]
    """Features that are left."""
    pieces: Annotated[int, Field(ge=2, strict=True)] = 2
    state: Literal["new", "previous"] = "new"
    """Which state is read out: the one that this step made, or the one before it."""


Readout = Annotated[DenseReadout | StateReadout | MaxoutReadout, Kinds("readout")]


class Recurrent(Spec):
    """Recurrent layers; with cross_attention, a decoder that attends to another stack once a step."""

    kind: Literal["recurrent"] = "recurrent"
    d_hidden: Count = 256
    """Width of the state, of one direction."""
    layers: Count = 1
    max_length: Count = 1024
    cell: Cell = Gru()
    direction: Direction = Forward()
    residual: Literal["none", "add"] = "none"
    """`add`: from the second layer on, a layer's output is its state plus its input. Wu et al. 2016, arXiv:1609.08144,
    eq. 6."""
    input: Annotated[Input, Derived("tokens")]
    dropout: Rate = 0.1
    """Between layers, and on the readout."""
    bias: Bool = True
    bridge: Annotated[Bridge, Derived("dense beside cross_attention, else none")]
    cross_attention: Annotated[Cross | None, Absent] = None
    query: Literal["state", "previous_state", "state_and_cell", "input_and_previous_state"] = "state"
    """What asks: the new state (Luong), the previous one (Bahdanau), the new state beside an LSTM's cell (See et al.
    2017, in their code), or the token beside the previous state (the founding article)."""
    input_feeding: Annotated[Feeding, Derived("context where the query is a previous state, else none")]
    readout: Annotated[Readout, Derived("dense beside cross_attention, else state")]

    @property
    def longest(self) -> int:
        """Tokens of the longest text that may be read and written in one piece."""
        return self.max_length

    @property
    def d_output(self) -> int:
        """Width of a state of this stack as others read it."""
        return self.d_hidden * (2 if isinstance(self.direction, Both) and self.direction.merge == "concatenate" else 1)

    @property
    def d_readout(self) -> int:
        """Width of what the head reads."""
        return self.d_output if isinstance(self.readout, StateReadout) else self.readout.d_hidden

    @property
    def d_query(self) -> int:
        """Width of what asks."""
        beside = {"input_and_previous_state": self.input.d_embedding, "state_and_cell": self.d_hidden}
        return self.d_hidden + beside.get(self.query, 0)

    def faults(self) -> Iterator[Fault]:
        if self.residual == "add" and self.layers == 1:
            rule = "a residual connection joins a layer to the one before it, and there is one layer"
            yield Fault(("residual",), rule, "write layers: 2 or more, or leave residual out")
        if self.query == "state_and_cell" and not isinstance(self.cell, Lstm):
            yield Fault(
                ("query",), f"{self.cell.kind} has no cell beside its state", "write query: state, or cell: lstm"
            )
        gate = self.readout.gate if isinstance(self.readout, DenseReadout) else "none"
        if self.cross_attention is None:
            if gate != "none":
                rule = "the gate weighs a context against the state, and without cross_attention there is no context"
                yield Fault(("readout", "gate"), rule, "leave gate out, or write cross_attention")
            return
        if not isinstance(self.direction, Forward):
            yield Fault(
                ("direction",),
                "a decoder writes from the first token to the last",
                "leave direction out, or take cross_attention away",
            )
        if (
            self.query in ("previous_state", "input_and_previous_state")
            and isinstance(self.input_feeding, NoFeeding)
            and isinstance(self.readout, StateReadout)
        ):
            yield Fault(
                ("input_feeding",),
                "no one reads the context: neither the cell nor the readout",
                "write input_feeding: context, or readout: dense",
            )
        if (
            self.query in ("state", "state_and_cell")
            and isinstance(self.readout, StateReadout)
            and isinstance(self.input_feeding, NoFeeding)
        ):
            yield Fault(
                ("readout",),
                "no one reads the context: neither the cell nor the readout",
                "write readout: dense, or input_feeding: context",
            )
