"""What tables, figures and the page read: scores with where they come from, published figures, names for people."""
