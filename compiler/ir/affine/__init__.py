"""Integers: index expressions, domains, guards, and proofs about them.

In: nothing. Out: `Affine`, `Axis`, `Guard`, and what can be proven of them.
No tensor and no scalar may enter: the room stands below both.
"""
