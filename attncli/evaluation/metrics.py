"""The metrics of each task, by the names that a spec's `evaluate.metrics` uses."""

from collections.abc import Sequence
from difflib import get_close_matches

from attncli.errors import InputError

METRICS: dict[str, tuple[str, ...]] = {
    "seq2seq": ("bleu", "chrf", "exact_match", "token_accuracy", "perplexity"),
    "language_model": ("perplexity", "bits_per_byte", "token_accuracy"),
    "masked_language_model": ("token_accuracy", "perplexity"),
    "denoising": ("token_accuracy", "perplexity"),
    "sentence_pair": ("accuracy",),
    "classification": ("accuracy", "macro_f1"),
    "tagging": ("accuracy", "span_f1", "macro_f1"),
}
ASKED: dict[str, tuple[str, ...]] = {"seq2seq": ("rouge", "rouge_1", "rouge_2")}
"""Computed where they are named, and not otherwise."""
SPANS_ONLY = "span_f1"


def chosen_metrics(task: str, wanted: Sequence[str], *, spans: bool, by: str) -> tuple[str, ...]:
    """The metrics to compute: those wanted, else all of the task.

    spans: the tags of a tagging task are BIO; by: what named them, the key or the option.

    Raises:
        InputError: there is no such metric for this task.
    """
    own = tuple(name for name in METRICS[task] if spans or name != SPANS_ONLY)
    known = own + ASKED.get(task, ())
    for name in wanted:
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise InputError(
                f"{by}: {task} has no metric '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""),
                help="write task.scheme: bio" if name == SPANS_ONLY and task == "tagging"
                else f"its metrics are {', '.join(known)}",
            )  # fmt: skip
    return tuple(wanted) or own
