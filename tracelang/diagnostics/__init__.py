"""Findings about what a user wrote: one type, and the ways to show it."""

from tracelang.diagnostics.diagnostic import CompileError, Diagnostic, Edit, Findings, Fix, Label, Severity
from tracelang.diagnostics.source import Source, Span

__all__ = ["CompileError", "Diagnostic", "Edit", "Findings", "Fix", "Label", "Severity", "Source", "Span"]
