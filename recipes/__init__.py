"""Recipes that come with the compiler: the prelude, the methods, and some that are ready to use."""
