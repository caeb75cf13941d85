"""One file is one target: its `TARGET` says all that the compiler knows of it, and nothing else names it."""
