"""How the model is trained and scored. Read by attncli/training, attncli/decoding and attncli/evaluation."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import (
    Absent,
    Bool,
    Count,
    Derived,
    Fault,
    Int,
    Kinds,
    Positive,
    Rate,
    Real,
    Spec,
    Stretch,
    Text,
    Time,
)
from attncli.spec.tuning import Lora, Start

Beta = Annotated[float, Field(ge=0, lt=1, strict=True)]
NotNegative = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


class TokenBatch(Spec):
    """Rows of similar length up to `size` tokens an optimizer step: positions of all inputs, padding included."""

    kind: Literal["tokens"] = "tokens"
    size: Count = 4096
    accumulate: Count = 1
    """Forward and backward passes that share one optimizer step."""


class SequenceBatch(Spec):
    """`size` rows an optimizer step."""

    kind: Literal["sequences"] = "sequences"
    size: Count = 64
    accumulate: Count = 1

    def faults(self) -> Iterator[Fault]:
        if self.accumulate > self.size:
            rule = f"{self.size} rows cannot be shared by {self.accumulate} passes"
            yield Fault(("accumulate",), rule, "write fewer")


Batch = Annotated[TokenBatch | SequenceBatch, Kinds("batch")]


class _Decayed(Spec):
    weight_decay: NotNegative = 0.0
    """On matrices only."""


class AdamW(_Decayed):
    """Adam with decoupled weight decay. Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2."""

    kind: Literal["adamw"] = "adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.98)
    epsilon: Positive = 1e-9
    weight_decay: NotNegative = 0.01


class Adam(_Decayed):
    """Kingma & Ba 2015, arXiv:1412.6980, algorithm 1."""

    kind: Literal["adam"] = "adam"
    betas: tuple[Beta, Beta] = (0.9, 0.98)
    epsilon: Positive = 1e-9


class Sgd(_Decayed):
    """Stochastic gradient descent, with momentum where it is written."""

    kind: Literal["sgd"] = "sgd"
    momentum: Rate = 0.0


class Adagrad(_Decayed):
    """Duchi et al. 2011."""

    kind: Literal["adagrad"] = "adagrad"
    accumulator: NotNegative = 0.0
    """Start of the sums of squares."""
    epsilon: Positive = 1e-10


class Adadelta(_Decayed):
    """Zeiler 2012, arXiv:1212.5701, algorithm 1."""

    kind: Literal["adadelta"] = "adadelta"
    rho: Beta = 0.9
    epsilon: Positive = 1e-6


class Adafactor(_Decayed):
    """Shazeer & Stern 2018, arXiv:1804.04235, algorithm 4, in torch's form."""

    kind: Literal["adafactor"] = "adafactor"


Optimizer = Annotated[AdamW | Adam | Sgd | Adagrad | Adadelta | Adafactor, Kinds("optimizer")]


class _Warmed(Spec):
    warmup: Stretch = Time(5, "percent")
    """The rate rises from 0 to its peak in a line."""


class Cosine(_Warmed):
    """Half a cosine from the peak to floor times the peak. Loshchilov & Hutter 2017, arXiv:1608.03983."""

    kind: Literal["cosine"] = "cosine"
    floor: Rate = 0.0


class LinearDecay(_Warmed):
    """A line from the peak to floor times the peak."""

    kind: Literal["linear"] = "linear"
    floor: Rate = 0.0


class InverseSqrt(_Warmed):
    """peak sqrt(warmup / step). Vaswani et al. 2017, arXiv:1706.03762, eq. 3."""

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"

    def faults(self) -> Iterator[Fault]:
        if self.warmup.amount == 0:
            yield Fault(("warmup",), "peak sqrt(warmup / step) is 0 without a warm-up", "write a warmup such as 4000")


class Constant(_Warmed):
    """The peak from the warm-up on."""

    kind: Literal["constant"] = "constant"
    warmup: Stretch = Time(0, "steps")


class OneCycle(Spec):
    """Up along half a cosine for `rise` of the run, then down along the other. Smith & Topin 2019, arXiv:1708.07120."""

    kind: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.3
    start: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.04
    """Share of the peak at the first step."""


class StepDecay(Spec):
    """The peak until `start`, then times `factor`, and times it again after each `every`. Luong et al. 2015,
    arXiv:1508.04025, section 4.1: halved after each epoch from the fifth on.
    """

    kind: Literal["step"] = "step"
    start: Stretch
    every: Stretch
    factor: Annotated[float, Field(gt=0, lt=1, strict=True)]

    def faults(self) -> Iterator[Fault]:
        if self.every.amount == 0:
            yield Fault(("every",), "steps of the rate cannot lie 0 apart", "write 1 step or more")


Schedule = Annotated[Cosine | LinearDecay | InverseSqrt | Constant | StepDecay | OneCycle, Kinds("schedule")]


class Checkpoints(Spec):
    """When the run is saved, and how many of the last and of the best checkpoints stay."""

    every: Count = 500
    keep_last: Count = 2
    keep_best: Int = 1


class EarlyStopping(Spec):
    """Stop when `metric` on the validation data has not improved in `patience` evaluations."""

    metric: Text = "loss"
    patience: Count


class Watch(Spec):
    """Looks at what heads do: entropy, peak, output and doubles, on four rows of the first batch, every `every` steps.

    They stand in heads.jsonl and in TensorBoard, with alerts for heads that collapse, die or do what another does.
    """

    every: Count = 100


class Train(Spec):
    """One training run."""

    duration: Stretch = Time(10000, "steps")
    batch: Annotated[Batch, Derived("tokens")] = TokenBatch()
    learning_rate: Annotated[Positive, Derived("1/sqrt(4000 d_model) for adam and adamw")]
    """The peak of the schedule."""
    clip: Annotated[Positive | None, Absent] = 1.0
    """Largest norm of the gradient."""
    optimizer: Optimizer = AdamW()
    schedule: Schedule = Cosine()
    ema: Annotated[Beta | None, Absent] = None
    """Decay of a running mean of the weights, which is then what is evaluated and predicted with."""
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    """`auto` is bf16 on a GPU that has it, else float32."""
    start: Annotated[Start | None, Absent] = None
    """The run to start from, `{from: FOLDER}`: its vocabularies, and of its best weights those of a name and shape that
    this model has."""
    lora: Annotated[Lora | None, Absent] = None
    """Adapters learn in place of the weights of `start`: y = W x + b + alpha / rank B A x, B being 0 at the start.
    Hu et al. 2021, arXiv:2106.09685, section 4.1."""
    compile: Bool = False
    """Training steps run through torch.compile: faster where small operations weigh, once the compiler has run."""
    checkpoints: Checkpoints = Checkpoints()
    early_stopping: Annotated[EarlyStopping | None, Absent] = None
    watch: Annotated[Watch | None, Absent] = None

    def faults(self) -> Iterator[Fault]:
        if self.duration.unit == "percent":
            yield Fault(("duration",), "a run is not a share of itself", "write steps, '3 epochs' or '10 minutes'")
        elif self.duration.amount == 0:
            yield Fault(("duration",), "a run of no length trains nothing", "write 1 step or more")
        if self.lora is not None and self.start is None:
            rule = "adapters change weights that have learned, and without start these are drawn"
            yield Fault(("lora",), rule, "write start: {from: FOLDER}, or leave lora out")
        if isinstance(self.schedule, StepDecay):
            yield from self._faults_of_steps(self.schedule)
        elif not isinstance(self.schedule, OneCycle):
            yield from self._faults_of_warmup(self.schedule.warmup)

    def _faults_of_steps(self, schedule: StepDecay) -> Iterator[Fault]:
        for key, time in (("start", schedule.start), ("every", schedule.every)):
            if time.unit != "percent" and (time.unit == "minutes") != (self.duration.unit == "minutes"):
                rule = f"{key} '{time}' cannot be compared with a duration of '{self.duration}'"
                yield Fault(("schedule", key), rule, "write it in %, or both in minutes, or neither")
        start = schedule.start
        if start.unit == self.duration.unit and start.amount >= self.duration.amount:
            rule = f"the run, {self.duration}, is over before the rate falls at {start}"
            yield Fault(("schedule", "start"), rule, "write an earlier start, or schedule: constant")

    def _faults_of_warmup(self, warmup: Time) -> Iterator[Fault]:
        """Both stretches lie on one axis: no pure function compares minutes with steps."""
        longer = warmup.unit == self.duration.unit and warmup.amount > self.duration.amount
        if longer or (warmup.unit == "percent" and warmup.amount > 100):
            rule = f"the warm-up, {warmup}, is longer than the run, {self.duration}"
            yield Fault(("schedule", "warmup"), rule, "write a shorter warmup, or a longer duration")
        if warmup.amount == 0 or warmup.unit == "percent":
            return
        if (warmup.unit == "minutes") != (self.duration.unit == "minutes"):
            rule = f"a warm-up of '{warmup}' cannot be compared with a duration of '{self.duration}'"
            yield Fault(("schedule", "warmup"), rule, "write the warmup in %, or both in minutes, or neither")


class Greedy(Spec):
    """The likeliest token at every step."""

    kind: Literal["greedy"] = "greedy"
    max_length: Annotated[Count | None, Absent] = None
    """Tokens written at the most; the stack's max_length where not written."""


class Beam(Spec):
    """The likeliest sentences of a search over `size` at a time, by log-probability / length^length_penalty."""

    kind: Literal["beam"] = "beam"
    size: Count = 4
    length_penalty: Real = 1.0
    n_best: Count = 1
    min_length: Int = 0
    max_length: Annotated[Count | None, Absent] = None

    def faults(self) -> Iterator[Fault]:
        if self.n_best > self.size:
            yield Fault(("n_best",), f"a beam of {self.size} has no {self.n_best} best", "write a larger size")


class Sample(Spec):
    """Tokens drawn from the model's distribution, sharpened by temperature, cut to top_k and top_p."""

    kind: Literal["sample"] = "sample"
    temperature: Positive = 1.0
    top_k: Annotated[Count | None, Absent] = None
    top_p: Annotated[Annotated[float, Field(gt=0, le=1, strict=True)] | None, Absent] = None
    max_length: Annotated[Count | None, Absent] = None


Decoding = Annotated[Beam | Greedy | Sample, Kinds("decoding")]


class Evaluate(Spec):
    """How checkpoints are scored, in training and by `attncli evaluate`."""

    metrics: Annotated[tuple[Text, ...], Derived("the task's")]
    decoding: Annotated[Decoding, Derived("beam for seq2seq, else greedy")]
    average: Annotated[Count | None, Absent] = None
    """Evaluate the mean of the last checkpoints."""
    every: Stretch = Time(500, "steps")
    """How often the validation data are scored in training; `steps`, `epochs` or `%`."""

    def faults(self) -> Iterator[Fault]:
        if self.every.amount == 0:
            yield Fault(("every",), "evaluations cannot lie 0 apart", "write 1 step or more")
        elif self.every.unit == "minutes":
            yield Fault(("every",), "a clock would decide what is measured", "write steps, epochs or a share like 5%")
        for index, name in enumerate(self.metrics):
            if name in self.metrics[:index]:
                yield Fault(("metrics", index), f"'{name}' is named twice", "name each metric once")
