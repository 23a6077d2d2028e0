"""One file for each method, under the method's name."""
