"""Scalars: what SymPy's expressions do not say as floats need it: choices, conditions, powers, orders.

In: SymPy. Out: nodes whose value, derivative and text follow IEEE 754, and functions over them.
No index and no tensor may enter.
"""
