"""Every formula of attncli in plain Python floats: the oracle of the tests, and the numbers that `explain` prints.

Written to be read beside the papers: loops over lists, one equation a function, no torch, no numpy, nothing of attncli.
Vectors are lists of floats, matrices lists of rows. It is slow on purpose and right to the last digits of a float.
"""
