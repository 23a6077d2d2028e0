"""People who judge pictures of a verification without knowing which is which, and judges held against them."""
