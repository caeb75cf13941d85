"""Tools: what a person asks of a model or its module: is it right, how fast is it, and why.

In: models and built modules. Out: reports.
Nothing may enter that the compiler needs.
"""
