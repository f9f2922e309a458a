"""A first spec for a file of data: what its columns are likely to be, and the spec that says so."""

from attncli.spec.starter.choice import Choice, choose
from attncli.spec.starter.head import Head, has_header
from attncli.spec.starter.text import starter

__all__ = ["Choice", "Head", "choose", "has_header", "starter"]
