"""The decoding of a spec, changed by the flags of a command."""

from dataclasses import dataclass, fields

from attncli.errors import InputError
from attncli.spec.training import Beam, Decoding, Greedy, Sample


@dataclass(frozen=True)
class Flags:
    """What a command line may say about decoding; None where it says nothing."""

    beam: int | None = None
    n_best: int | None = None
    sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    max_length: int | None = None

    def written(self) -> list[str]:
        """The flags that were given, as they are written."""
        names = [field.name for field in fields(self) if getattr(self, field.name) not in (None, False)]
        return ["--" + name.replace("_", "-") for name in names]


def with_flags(decoding: Decoding, flags: Flags) -> Decoding:
    """The decoding that the flags ask for; what they leave open is the spec's.

    Raises:
        InputError: flags that exclude each other, or one that would do nothing.
    """
    searches, draws = flags.beam is not None or flags.n_best is not None, flags.sample
    if searches and draws:
        raise InputError("--sample draws at random and --beam and --n-best search: give one of them")
    if draws or (isinstance(decoding, Sample) and not searches):
        return _sampled(decoding, flags)
    alone = [name for name in flags.written() if name in ("--temperature", "--top-k", "--top-p", "--seed")]
    if alone:
        raise InputError(f"{alone[0]} is for sampling, and nothing is sampled here", help="add --sample")
    if searches:
        decoding = _searched(decoding, flags)
    return decoding if flags.max_length is None else decoding.model_copy(update={"max_length": flags.max_length})


def _sampled(decoding: Decoding, flags: Flags) -> Sample:
    base = decoding if isinstance(decoding, Sample) else Sample(max_length=decoding.max_length)
    wanted = {name: getattr(flags, name) for name in ("temperature", "top_k", "top_p", "max_length")}
    return base.model_copy(update={name: value for name, value in wanted.items() if value is not None})


def _searched(decoding: Decoding, flags: Flags) -> Beam | Greedy:
    base = decoding if isinstance(decoding, Beam) else Beam(max_length=decoding.max_length)
    n_best = flags.n_best or (1 if flags.beam else base.n_best)
    size = flags.beam or max(base.size, n_best)
    if n_best > size:
        raise InputError(f"--n-best {n_best}: a beam of {size} has no {n_best} best", help=f"write --beam {n_best}")
    if size == 1:
        return Greedy(max_length=base.max_length)
    return base.model_copy(update={"size": size, "n_best": n_best})
