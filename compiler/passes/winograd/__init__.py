"""winograd: convolutions with fewer multiplications, by transforms that are derived and checked.

In: a program and prices. Out: a program whose convolutions are transforms where that pays and is accurate.
No transform may be typed in.
"""
