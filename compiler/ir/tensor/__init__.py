"""Tensor programs: the one representation between a formula and its loops.

In: affine maps and scalars. Out: `Program`, its text, its verifier, its interpreter, small edits of it.
Nothing that derives, chooses or schedules may enter.
"""
