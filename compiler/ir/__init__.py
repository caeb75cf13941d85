"""The representations that all stages share: affine indices, scalars, tensor programs, loop nests.

In: nothing of ours but errors. Out: data, and functions that read, print, check and run it.
No stage may enter: what decides anything lives elsewhere.
"""
