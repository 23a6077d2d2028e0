"""The plan: a recipe compiled to frozen data, free of any model."""
