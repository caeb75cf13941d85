"""What a module is built for: machine models, targets, and the elements that arrays are made of.

In: nothing. Out: a `Machine`, all that a schedule is chosen by, and a `Target`: a machine model with the
words of C that a backend writes for it. One file of `targets/` is one target. No program, schedule or text of
a module enters, and no SymPy: commands that compile nothing import this too.
"""
