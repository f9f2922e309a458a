"""What an option is: equation, source, options, and a worked example whose numbers attncli.reference computes.

Nothing of it is typed in: the kinds are those of the typed classes, their words are their docstrings, the numbers are
computed. Imports no torch.
"""

from attncli.spec.explain.catalogue import Role, roles
from attncli.spec.explain.data import data_of, data_of_all, data_of_mask
from attncli.spec.explain.entries import Entry, Option, Step
from attncli.spec.explain.masks import MaskReport, examine
from attncli.spec.explain.shown import overview, told, told_mask
from attncli.spec.explain.topics import explain

__all__ = [
    "Entry", "MaskReport", "Option", "Role", "Step", "data_of", "data_of_all", "data_of_mask", "examine", "explain",
    "overview", "roles", "told", "told_mask",
]  # fmt: skip
