"""The modules that `compile` writes and builds; README.md beside this file says what is in them."""
