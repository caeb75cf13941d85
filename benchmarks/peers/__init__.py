"""One module per framework: each builds the same training step and serves it over the worker protocol."""
