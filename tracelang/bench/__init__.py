"""Methods compared: suites of tasks, one cell for each edit and its verification, and what the cells say together."""
