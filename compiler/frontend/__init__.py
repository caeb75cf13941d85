"""The front end: from a model file to its model, with every mistake at once, and on to tensor programs.

In: a path, or a model. Out: a `LoweredModel`, whose programs are forward formulas alone.
Nothing may enter that derives, simplifies or schedules.
"""
