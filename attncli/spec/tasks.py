"""What is predicted, by which head, with which loss. Mirrored by attncli/nn/tasks.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Count, Derived, Fault, Kinds, Rate, Spec, Text
from attncli.spec.normalizers import Normalizer, Softmax
from attncli.spec.outputs import Linear, Output
from attncli.spec.scores import Score


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
