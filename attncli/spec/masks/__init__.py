"""Masks as expressions: `causal & (window(before=127) | first(4))`. To add a predicate, see predicates.py."""

from attncli.spec.masks.mask import Mask, MaskField, parse
from attncli.spec.masks.words import MaskError

__all__ = ["Mask", "MaskError", "MaskField", "parse"]
