"""Schedules: how one definition, or a few together, become loops.

In: definitions, shapes, a machine model. Out: kernels, and what they should cost.
No derivative, no memory address and no text may enter.
"""
