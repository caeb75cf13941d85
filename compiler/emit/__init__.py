"""Emission: a plan as text of a language.

In: plans and loop nests. Out: source text, the same bytes for the same plan.
No decision about mathematics, loops or memory may enter.
"""
