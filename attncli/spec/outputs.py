"""How states become probabilities of tokens. Mirrored by attncli/nn/outputs.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Absent, Bool, Count, Fault, Kinds, Positive, Spec
from attncli.spec.norms import NoNorm, Norm

Activation = Literal["none", "tanh", "relu", "gelu", "gelu_tanh", "silu"]


class Transform(Spec):
    """norm(activation(W x + b)) before the output map, as in BERT's head. Devlin et al. 2019, arXiv:1810.04805.

    Beside a tied embedding of another width it leads back to that width, as in ALBERT (Lan et al. 2020,
    arXiv:1909.11942).
    """

    activation: Activation = "gelu"
    norm: Norm = NoNorm()
    bias: Bool = True


class Linear(Spec):
    """Logits c tanh((W scale x + b) / c) over the vocabulary; W is the target's embedding where tie_embeddings says so.

    Without soft_cap the logits are W scale x + b.
    """

    kind: Literal["linear"] = "linear"
    bias: Bool = False
    scale: Positive | Literal["inverse_sqrt_d_model", "none"] = "none"
    """A factor on x: T5 divides by sqrt(d_model) where its embedding is tied. Raffel et al. 2020, arXiv:1910.10683."""
    soft_cap: Annotated[Positive | None, Absent] = None
    """The largest size c that a logit can have. Gemma Team 2024 (Gemma 2), arXiv:2408.00118, section 2."""
    transform: Annotated[Transform | None, Absent] = None


class PointerGenerator(Spec):
    """p(w) = g softmax(W r + b)_w + (1 - g) sum of the weights of the source's tokens w; g = sigmoid(G [c; s; x] + h).

    See et al. 2017, arXiv:1704.04368, eq. 8 and 9. r is the readout, c the context, s what asks, x what enters the cell
    (the token, joined with what is fed where `combine` joins them). In a Transformer the weights are the mean over the
    heads of the last cross_attention (Gehrmann et al. 2018, arXiv:1808.10792, copy by one of them), c is what it gives,
    s the state that is read off, x what enters the first layer. Source and target share a tokenizer. With words, a word
    of the source that the vocabulary lacks has an id of its own in that row, and so can be written.
    """

    kind: Literal["pointer_generator"] = "pointer_generator"
    bias: Bool = False


class Adaptive(Spec):
    """p(w) = p(w | h) below the first cutoff, else p(cluster i | h) p(w | cluster i, h): softmaxes in steps.

    Grave et al. 2017, arXiv:1609.04309, section 4.2. The first softmax is over ids below cutoffs[0] and the clusters
    that begin at each cutoff; cluster i is read off d / factor^i features, so that rare ids cost little. Training
    computes the cluster of the label alone. Tokenizers number tokens from the frequent to the rare. With factor 1 the
    rows are as wide as an embedding and may be tied to it: Dai et al. 2019 (Transformer-XL), arXiv:1901.02860,
    section 4.1.
    """

    kind: Literal["adaptive"] = "adaptive"
    cutoffs: tuple[Count, ...]
    """The ids at which a cluster begins, rising; each cluster reaches to the next."""
    factor: Count = 1
    bias: Bool = False

    def faults(self) -> Iterator[Fault]:
        if not self.cutoffs:
            yield Fault(("cutoffs",), "there is no cluster", "write an id where one begins, or output: linear")
        elif sorted(set(self.cutoffs)) != list(self.cutoffs):
            yield Fault(("cutoffs",), "cutoffs must rise", "write each once, the smallest first")


class Mixture(Spec):
    """p(w) = sum_k softmax(V h)_k softmax(W g_k + b)_w, g_k = tanh(G_k h + c_k): a mixture of softmaxes.

    Yang et al. 2018, arXiv:1711.03953, eq. 3: the logarithms of one softmax are a matrix of rank d at most over
    all contexts, those of a mixture are not. W is the target's embedding where tie_embeddings says so; the g_k have its
    width.
    """

    kind: Literal["mixture"] = "mixture"
    components: Annotated[int, Field(ge=2, strict=True)]
    bias: Bool = False


Output = Annotated[Linear | Adaptive | PointerGenerator | Mixture, Kinds("output")]
