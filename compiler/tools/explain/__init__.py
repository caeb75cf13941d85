"""`chainrule explain MODEL`: a model's mathematics on one page, from what the compiler recorded."""
