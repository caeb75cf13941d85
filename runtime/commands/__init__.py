"""What commands share: the data that options name, and what is printed."""
