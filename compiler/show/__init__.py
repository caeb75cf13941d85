"""Mathematics for people: definitions, terms and scalar bodies as text, LaTeX and MathML.

In: parts of a tensor program. Out: notation, a tree that says what is written, and printers of it. Nothing
may enter that differentiates, simplifies or chooses a form: what is shown is what was given.
"""
