"""Kills, full disks and corrupted headers against every form of output: `python -m tests.soak`, or `make soak`.

Nothing may be half-written, no traceback shown, no base touched. The suite runs a few of each.
"""
