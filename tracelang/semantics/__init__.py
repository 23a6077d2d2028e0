"""What a tree means: names resolved, types checked, defaults filled in."""
