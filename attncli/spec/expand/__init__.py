"""From what was written to what is meant: every value handed down to its place, every derived default put in."""

from attncli.spec.expand.run import expanded
from attncli.spec.expand.work import Work

__all__ = ["Work", "expanded"]
