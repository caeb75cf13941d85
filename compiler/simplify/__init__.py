"""Simplification: cheaper and accurate forms of programs, discovered, recorded and checked, never typed in.

In: a tensor program. Out: a tensor program of the same values, and the record of what was done and why.
Nothing of layers, loops or machines may enter.
"""
