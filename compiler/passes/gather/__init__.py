"""gather: a scatter becomes a sum that writes each element once; `invert` chooses where.

In: terms with any affine target. Out: terms with one axis a dimension, or the scatter as it was.
Nothing of prices may enter: the choice counts points.
"""
