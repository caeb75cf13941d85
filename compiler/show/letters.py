"""How names are set on a page: a letter slanted, a Greek letter as itself, a word upright."""

from __future__ import annotations

_NAMES = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau
upsilon phi chi psi omega"""
GREEK = dict(zip(_NAMES.split(), "αβγδεζηθικλμνξοπρστυφχψω", strict=True))
"""Names of letters, as formulas spell them, and the letters."""
FUNCTIONS = {"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min"}
"""Functions for which LaTeX has a command of their name."""
