"""Plans: the phases of a program, its tiles, and where every tensor lives.

In: a tensor program and places of what is given. Out: a `Plan` of kernel calls.
No text of any language may enter.
"""
