"""The modules that a spec builds.

Shape letters, in every docstring, comment and einsum of this package:
    b batch rows · n places of a row · q queries · k keys · h query heads · g key/value heads
    e width of a head's query and key · v width of a head's value · a hidden width of a score
    d width of a stack · f hidden width of a feed-forward map · c classes or ids

Module classes use torch and each other only and take plain numbers; the `build_…` functions beside them read the spec.
"""
