"""Sizes that data decide: vocabularies and labels. Until data have been seen, the spec's own numbers stand in."""

from dataclasses import dataclass

from attncli.spec.run import Run
from attncli.spec.tasks import Classification, SentencePair, Sentinels, Tagging
from attncli.spec.tokenizer import BYTE_VOCABULARY, Bytes, TokenizerFile


@dataclass(frozen=True)
class Sizes:
    """Ids of each token field, and the number of labels of a classification or tagging task (None elsewhere)."""

    vocabularies: dict[str, int]
    labels: int | None = None
    from_data: frozenset[str] = frozenset()
    """What of this is a stand-in (`source`, `label`, …), because only the data can tell."""


def spans_of(run: Run) -> int:
    """Ids that stand for spans taken away: as many as the longest text may lose; 0 in other tasks."""
    corruption = getattr(run.task, "corruption", None)
    longest = min((stack.max_length for stack in run.model.stacks.values()), default=1) - 1
    return corruption.spans(longest)[1] if isinstance(corruption, Sentinels) else 0


def sizes_of(run: Run, fields: tuple[str, ...]) -> Sizes:
    """The sizes that the spec alone gives for the token fields named."""
    vocabularies, unknown = {}, set()
    for field in fields:
        match run.tokenizer_of(field):
            case Bytes():
                vocabularies[field] = BYTE_VOCABULARY + spans_of(run)
            case TokenizerFile():
                vocabularies[field] = 8000
                unknown.add(field)
            case trained:
                vocabularies[field] = trained.vocabulary
                unknown.add(field)
    match run.task:
        case SentencePair():
            return Sizes(vocabularies, 2, frozenset(unknown))
        case Classification(classes=given) | Tagging(tags=given):
            labels = given if isinstance(given, int) else len(given) if given else 2
            if given is None:
                unknown.add("label")
            return Sizes(vocabularies, labels, frozenset(unknown))
        case _:
            return Sizes(vocabularies, None, frozenset(unknown))
