"""Cython: statements, expressions, vector types and the templates of a module."""
