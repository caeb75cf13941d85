"""Loop nests: what a schedule makes of a definition and what the emitter prints.

In: affine maps and scalars. Out: statements, kernels, and functions over them.
No syntax of any language and no cost may enter.
"""
