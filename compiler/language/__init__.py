"""The language: models, layers, losses, optimizers as descriptions, and the formulas that they consist of.

In: Python objects and text that a person writes. Out: formulas with shapes, and definitions made from them.
No derivative, loop or machine may enter: a layer is its forward formula, its shape rule, its checks.
"""
