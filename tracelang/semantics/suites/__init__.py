"""Readers of published suites of prompts, one file a suite: each says which files it reads, and makes rows of one."""
