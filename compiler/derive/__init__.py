"""Derivation: the three rules of the calculus, and the programs that they make of others.

In: a tensor program. Out: one that computes cotangents or tangents, of a batch or of each example.
No derivative of any layer may enter, and no form that is better than another: that is `simplify`.
"""
