"""Damaged specs: whatever a file says, the answer is a model or a diagnostic."""
