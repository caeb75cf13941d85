"""Measurements of chainrule against other frameworks, in ratios taken in one run."""
