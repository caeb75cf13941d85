"""Layers, formulas, model descriptions and their lowering."""
