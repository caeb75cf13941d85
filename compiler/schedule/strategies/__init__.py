"""Strategies: each a way to compute definitions, or some terms of one, in a file of its own.

In: definitions and a context. Out: a schedule, or None where a strategy is no way to compute them.
What is chosen among them is decided by their order in `table.py`, nowhere else.
"""
