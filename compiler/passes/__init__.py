"""Passes: from a tensor program to one that is cheaper to run, a verb each.

In: a program, and prices where a pass has to choose. Out: a program of the same values, and a record.
No loops may enter: what a pass wants to know of them is a price that it is given.
"""
