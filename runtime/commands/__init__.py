"""The commands that use a module, but for `train`, and what they share: data, weights, what is printed."""
