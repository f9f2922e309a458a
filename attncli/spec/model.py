"""The body: named stacks, and what they share. Mirrored by attncli/nn/model.py."""

from typing import Annotated, Literal

from attncli.spec.base import Absent, Derived, Kinds, Positive, Spec
from attncli.spec.recurrent import Recurrent
from attncli.spec.residuals import deepnorm
from attncli.spec.stacks import Transformer


class FanIn(Spec):
    """Matrices from N(0, gain^2 / inputs); ends of branches times 1/sqrt(2 layers) where residual is by_depth."""

    kind: Literal["fan_in"] = "fan_in"
    gain: Positive = 1.0
    residual: Literal["plain", "by_depth"] = "by_depth"


class Normal(Spec):
    """Matrices from N(0, std^2). Radford et al. 2019 (GPT-2) with residual by_depth."""

    kind: Literal["normal"] = "normal"
    std: Positive = 0.02
    residual: Literal["plain", "by_depth"] = "by_depth"


class XavierUniform(Spec):
    """Matrices from U(-a, a), a = gain sqrt(6 / (inputs + outputs)). Glorot & Bengio 2010."""

    kind: Literal["xavier_uniform"] = "xavier_uniform"
    gain: Positive = 1.0


class Uniform(Spec):
    """Every matrix from U(-bound, bound). Luong et al. 2015 take 0.1."""

    kind: Literal["uniform"] = "uniform"
    bound: Positive


class T5(Spec):
    """Matrices from N(0, 1 / inputs), maps of queries from N(0, 1 / (inputs d_head)), embeddings from N(0, 1).

    Raffel et al. 2020, arXiv:1910.10683, in the released code: the score `dot` divides by nothing, so its queries begin
    smaller. Tables of distances begin at 0, as everywhere here.
    """

    kind: Literal["t5"] = "t5"


Init = Annotated[FanIn | Normal | XavierUniform | Uniform | T5, Kinds("init")]
Stack = Annotated[Transformer | Recurrent, Kinds("stack")]


class Model(Spec):
    """Named stacks; `encoder` and `decoder` are the stacks of those names."""

    encoder: Annotated[Stack | None, Absent] = None
    decoder: Annotated[Stack | None, Absent] = None
    tie_embeddings: Annotated[
        Literal["none", "inputs", "output", "all"],
        Derived("none for a recurrent decoder; all if source and target share a tokenizer; else output"),
    ]
    init: Init = FanIn()

    @property
    def stacks(self) -> dict[str, Transformer | Recurrent]:
        """The stacks by name, those that are read before those that read them."""
        found = {"encoder": self.encoder, "decoder": self.decoder}
        return {name: stack for name, stack in found.items() if stack is not None}

    def deepnorm(self, name: str) -> tuple[float, float]:
        """alpha and beta that `residual: deepnorm` has in a Transformer stack."""
        stack = self.stacks[name]
        assert isinstance(stack, Transformer)
        others = [other for other in self.stacks.values() if isinstance(other, Transformer) and other is not stack]
        readers = [other.depth for other in others if any(cross.stack == name for cross in other.crosses)]
        return deepnorm(stack.depth, read_by=readers[0] if readers else None, reads=bool(stack.crosses))
