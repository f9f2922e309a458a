"""Attention whose weights are products of features. Mirrored by attncli/nn/linear.py."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from attncli.spec.base import Count, Derived, Fault, Int
from attncli.spec.normalizers import Sum
from attncli.spec.positions import NoPosition, Relative
from attncli.spec.running import Running
from attncli.spec.scores import ScaledDot


class Linear(Running):
    """Weights f(q) . f(k) / sum f(q) . f(k): a running sum of f(k) v' serves every query, and no weight is held.

    Cost grows with the length, not with its square, and a step of writing costs the same at every place. f is
    elu(x) + 1 in Katharopoulos et al. 2020, arXiv:2006.16236, eq. 7; relu in Kasai et al. 2021, arXiv:2103.13076. The
    map that is shown is of these weights. The mask is causal or full.
    """

    normalizer: ClassVar[Sum] = Sum()
    gate: ClassVar[Literal["none"]] = "none"
    position: ClassVar[NoPosition] = NoPosition()

    kind: Literal["linear"] = "linear"
    feature: Literal["elu", "relu", "exp"] = "elu"
    """f, of each number: elu(x) + 1, max(x, 0) or e^x."""

    @property
    def score(self) -> ScaledDot:
        """The product of features, as it is."""
        return ScaledDot(scale=1.0)

    def faults(self) -> Iterator[Fault]:
        yield from self.all_or_earlier()


class Performer(Running):
    """Softmax attention estimated by features: f(x)_i = exp(w_i . x - |x|^2 / 2) of x = q / d_head^(1/4), and of keys.

    The mean of f(q) . f(k) over the directions w is exp(q . k / sqrt(d_head)): an estimate of each weight before the
    division without bias, with an error that falls with the number of features. Directions are Gaussian, and
    orthogonal within each d_head of them; all heads of a layer share them. Outputs are those of `linear` with these
    features, and the map that is shown is the estimate. Choromanski et al. 2021, arXiv:2009.14794, lemma 1, theorem 2
    and section 2.4 (FAVOR+). No number is added to features against a division by 0, as public code does. The mask is
    causal or full.
    """

    normalizer: ClassVar[Sum] = Sum()
    gate: ClassVar[Literal["none"]] = "none"

    kind: Literal["performer"] = "performer"
    position: Annotated[Relative, Derived("rotary, unless the input has positions")]
    """rotary or none, of queries and keys before they are features: then the estimate is of turned attention."""
    features: Count = 256
    """Directions; the paper's experiments have d log d of them for heads of width d."""
    redraw: Literal["none", "step"] = "none"
    """step: new directions for every batch while training, drawn by the run's seed and the step, so that a model
    learns the softmax and not one draw (section 4); evaluation and writing read those of `seed`."""
    seed: Int = 0
    """Of the directions: the same seed, layer and sizes give the same ones, so that no file needs to hold them."""

    @property
    def score(self) -> ScaledDot:
        """The product of features, as it is."""
        return ScaledDot(scale=1.0)

    def faults(self) -> Iterator[Fault]:
        yield from self.all_or_earlier()
        yield from self.turning(self.position)
