"""The machines that modules are built for: what a schedule costs there.

In: nothing. Out: a `Machine`, for the scheduler, the plan and whoever builds. No dtype's schedule, no text of
the generated module and no SymPy enters: this is imported by commands that compile nothing.
"""
