"""What is predicted, by which head, with which loss. Mirrored by attncli/nn/tasks.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Absent, Count, Derived, Fault, Kinds, Positive, Rate, Spec, Stretch, Text
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
    weight: Annotated[Positive | None, Absent] = None
    """Of a task that is not the first of a list: a factor on its mean loss, 1 where not written."""


class Rewriting(_Task):
    """What a decoder writes that reads an encoder."""

    output: Output = Linear()
    label_smoothing: Rate = 0.1


class Scheduled(Spec):
    """Each token that the decoder reads in training is, with a probability that grows from 0 to `scheduled` along a
    line, one that it would have written itself. Bengio et al. 2015, arXiv:1506.03099, section 2.4; in two passes as
    Duckworth et al. 2019, arXiv:1906.04331.
    """

    scheduled: Annotated[float, Field(gt=0, le=1, strict=True)]
    over: Stretch
    """How long it grows."""


class Seq2seq(Rewriting):
    """Write `target` token by token, reading `source`. Sutskever et al. 2014, arXiv:1409.3215."""

    kind: Literal["seq2seq"] = "seq2seq"
    teacher_forcing: Literal["always"] | Scheduled = "always"
    """What the decoder reads in training: the tokens that are due, or now and then its own."""


class _Corruption(Spec):
    rate: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.15
    """Share of the tokens that are taken away."""
    mean_span: Annotated[float, Field(ge=1, strict=True)] = 3.0
    """Tokens of a span, in the mean."""


class Infill(_Corruption):
    """Each span becomes one mask token, and the whole text is written. Lewis et al. 2020 (BART), arXiv:1910.13461.

    Lengths of spans are drawn from a Poisson distribution; a span of none is a mask where nothing is missing. BART has
    rate 0.3 and permute: sentences.
    """

    kind: Literal["infill"] = "infill"
    permute: Literal["none", "sentences"] = "none"
    """`sentences` reads them in an order drawn anew; one ends with a token that ends in a full stop, ! or ?."""


class Sentinels(_Corruption):
    """Each span becomes a token of its own, [SPAN0], [SPAN1], …, and what is written is each of these and its span.

    Raffel et al. 2020 (T5), arXiv:1910.10683, section 3.1.4: tokens and spans of a text are as many as rate and
    mean_span say, their lengths drawn uniformly. The last ids of the vocabulary are those of the spans.
    """

    kind: Literal["sentinels"] = "sentinels"

    def spans(self, length: int) -> tuple[int, int]:
        """Tokens that a text of `length` tokens loses, and in how many spans."""
        if length < 2:
            return length, length
        lost = min(max(round(length * self.rate), 1), length - 1)
        return lost, max(1, min(round(lost / self.mean_span), lost, length - lost))


class Denoising(Rewriting):
    """Write a `text` anew, reading it with spans taken away. Long texts are cut into chunks."""

    kind: Literal["denoising"] = "denoising"
    corruption: Annotated[Infill | Sentinels, Kinds("corruption")] = Infill()


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


class Pooled(_Task):
    """One label of a text, read off its pooled states."""

    pooling: Pooling = Mean()


class SentencePair(Pooled):
    """Whether the second part of a `text` follows the first one, or is another. Devlin et al. 2019, arXiv:1810.04805.

    Half of the texts keep their second part. Texts are cut in two where a sentence ends, if one does, and long ones
    into chunks first. Under `random` the other part is that of another text of the batch; under `swapped` the parts
    change places: Lan et al. 2020 (ALBERT), arXiv:1909.11942, section 3.1.
    """

    kind: Literal["sentence_pair"] = "sentence_pair"
    negatives: Literal["random", "swapped"] = "random"


class Classification(Pooled):
    """One `label` of a `text`."""

    kind: Literal["classification"] = "classification"
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


Task = Annotated[
    Seq2seq | LanguageModel | MaskedLanguageModel | Denoising | SentencePair | Classification | Tagging,
    Kinds("task", named=True),
]
REWRITING = ("seq2seq", "denoising")
"""The kinds that have an encoder's source and a decoder's target."""

FIELDS: dict[str, tuple[str, ...]] = {
    "seq2seq": ("source", "target"),
    "language_model": ("text",),
    "masked_language_model": ("text",),
    "denoising": ("text",),
    "sentence_pair": ("text",),
    "classification": ("text", "label"),
    "tagging": ("text", "tags"),
}
"""What each task reads of the data, in the order of the columns of a table without a header."""

METRICS: dict[str, tuple[str, ...]] = {
    "seq2seq": ("bleu", "chrf", "exact_match", "token_accuracy", "perplexity"),
    "language_model": ("perplexity", "bits_per_byte", "token_accuracy"),
    "masked_language_model": ("token_accuracy", "perplexity"),
    "denoising": ("token_accuracy", "perplexity"),
    "sentence_pair": ("accuracy",),
    "classification": ("accuracy", "macro_f1"),
    "tagging": ("accuracy", "span_f1", "macro_f1"),
}
"""What each task is scored by; span_f1 only where tags have the scheme bio."""

ASKED: dict[str, tuple[str, ...]] = {"seq2seq": ("rouge", "rouge_1", "rouge_2")}
"""What it can be scored by besides, where evaluate.metrics names it."""
