"""`chainrule derive`: any formula without a model, its derivatives, and every step that leads to them."""
