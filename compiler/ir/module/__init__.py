"""Modules as data: what can be asked of one, and what is done then.

In: tensor programs and kernels, from which entry points and routines are made. Out: frozen data, nothing
computed. No text of any language may enter, and nothing of the stages that make or print it.
"""
