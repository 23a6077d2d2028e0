"""From text to a tree with spans."""
