"""Explanations as plain data, for `--json`."""

from dataclasses import asdict
from typing import Any

from attncli.spec.explain.catalogue import first_sentence, roles
from attncli.spec.explain.entries import Entry
from attncli.spec.explain.masks import MaskReport
from attncli.spec.explain.names import CHINESE
from attncli.spec.masks.predicates import PREDICATES


def data_of_all() -> dict[str, Any]:
    """Every role with its kinds, the predicates of masks, and the Chinese names."""
    return {
        "roles": [
            {
                "role": role.name,
                "keys": list(role.keys),
                "where": role.where,
                "about": role.about,
                "kinds": {word: first_sentence(record.__doc__ or "") for word, record in role.kinds.items()},
            }
            for role in roles()
        ],
        "predicates": {word: predicate.summary for word, predicate in PREDICATES.items()},
        "chinese": {word: list(names) for word, names in CHINESE.items()},
    }


def data_of(entries: list[Entry]) -> list[dict[str, Any]]:
    """Entries, field by field."""
    return [asdict(entry) for entry in entries]


def data_of_mask(report: MaskReport) -> dict[str, Any]:
    """What is known of a mask; `ahead` and `empty` are the first pair and row of that sort, or null."""
    return {
        "mask": report.mask.text,
        "length": report.length,
        "heads": report.heads,
        "visible": report.visible,
        "pairs": report.pairs,
        "causal": report.ahead is None if report.drawings else None,
        "ahead": report.ahead and report.ahead._asdict(),
        "empty": report.empty and {"q": report.empty.q, "h": report.empty.h},
        "faults": list(report.faults),
        "drawings": report.drawings,
    }
