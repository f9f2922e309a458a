"""What is predicted, by which head, with which loss. Mirrored by attncli/nn/tasks.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Absent, Bool, Count, Derived, Fault, Kinds, Positive, Rate, Spec, Text
from attncli.spec.normalizers import Normalizer, Softmax
from attncli.spec.norms import NoNorm, Norm
from attncli.spec.scores import Score

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
    (the token, joined with what is fed where `combine` joins them). Source and target share a tokenizer. With words,
    a word of the source that the vocabulary lacks has an id of its own in that row, and so can be written.
    """

    kind: Literal["pointer_generator"] = "pointer_generator"
    bias: Bool = False


Output = Annotated[Linear | PointerGenerator, Kinds("output")]


class _Pooling(Spec):
    dense: Literal["none", "tanh", "gelu"] = "none"
    """A linear map with this activation after the pooling."""


class Mean(_Pooling):
    """The mean of the real tokens."""

    kind: Literal["mean"] = "mean"


class Cls(_Pooling):
    """The first position."""

    kind: Literal["cls"] = "cls"


class Last(_Pooling):
    """The last real token."""

    kind: Literal["last"] = "last"


class Max(_Pooling):
    """The largest value of each feature over the real tokens."""

    kind: Literal["max"] = "max"


class AttentionPooling(_Pooling):
    """Learned queries attend to the states. Lee et al. 2019, arXiv:1810.00825, eq. 11 without its feed-forward map."""

    kind: Literal["attention"] = "attention"
    heads: Count = 1
    queries: Count = 1
    score: Annotated[Score, Derived("scaled_dot")]
    normalizer: Normalizer = Softmax()


Pooling = Annotated[Mean | Cls | Last | Max | AttentionPooling, Kinds("pooling")]


class _Task(Spec):
    stack: Annotated[Text, Derived("decoder, else encoder")]
    """The stack whose states feed the head."""


class Seq2seq(_Task):
    """Write `target` token by token, reading `source`. Sutskever et al. 2014, arXiv:1409.3215."""

    kind: Literal["seq2seq"] = "seq2seq"
    output: Output = Linear()
    label_smoothing: Rate = 0.1


class LanguageModel(_Task):
    """Write `text` token by token, or the `answer` to a `prompt`: both are one text, laid end to end, BOS in front."""

    kind: Literal["language_model"] = "language_model"
    output: Output = Linear()
    label_smoothing: Rate = 0.0
    loss_on: Annotated[Literal["all", "answer"], Derived("answer where data.fields names a prompt, else all")]
    """Which tokens are predicted. Under `answer` the data have prompts and answers."""


class MaskedLanguageModel(_Task):
    """Restore hidden tokens of `text`: 80 % of those chosen masked, 10 % replaced, 10 % kept. Devlin et al. 2019."""

    kind: Literal["masked_language_model"] = "masked_language_model"
    rate: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.15
    output: Output = Linear()


class Classification(_Task):
    """One `label` of a `text`."""

    kind: Literal["classification"] = "classification"
    pooling: Pooling = Mean()
    classes: Annotated[Count | tuple[Text, ...] | None, Derived("from the training data")] = None
    label_smoothing: Rate = 0.0

    def faults(self) -> Iterator[Fault]:
        if isinstance(self.classes, tuple) and len(set(self.classes)) < max(2, len(self.classes)):
            yield Fault(("classes",), "classes must be two or more different names", "name each class once")


class Tagging(_Task):
    """One tag for each word of a `text`; `tags` has as many words as the text."""

    kind: Literal["tagging"] = "tagging"
    tags: Annotated[Count | tuple[Text, ...] | None, Derived("from the training data")] = None
    scheme: Literal["none", "bio"] = "none"
    """`bio` scores spans (B-x I-x O) besides single tags."""


Task = Annotated[Seq2seq | LanguageModel | MaskedLanguageModel | Classification | Tagging, Kinds("task", named=True)]

FIELDS: dict[str, tuple[str, ...]] = {
    "seq2seq": ("source", "target"),
    "language_model": ("text",),
    "masked_language_model": ("text",),
    "classification": ("text", "label"),
    "tagging": ("text", "tags"),
}
"""What each task reads of the data, in the order of the columns of a table without a header."""

METRICS: dict[str, tuple[str, ...]] = {
    "seq2seq": ("bleu", "chrf", "exact_match", "token_accuracy", "perplexity"),
    "language_model": ("perplexity", "bits_per_byte", "token_accuracy"),
    "masked_language_model": ("token_accuracy", "perplexity"),
    "classification": ("accuracy", "macro_f1"),
    "tagging": ("accuracy", "span_f1", "macro_f1"),
}
"""What each task can be scored by; span_f1 only where tags have the scheme bio."""
