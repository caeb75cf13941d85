"""Programs as functions of arrays, for NumPy, PyTorch and JAX, and in loops for Cython: text that is read,
pasted and run elsewhere.

In: tensor programs. Out: code that imports the one library and nothing of ours. Nothing may enter that
chooses a formula: a term becomes a contraction, a broadcast expression, or reads at index grids, by its maps.
"""
