"""Locks and fuses of directories and sessions."""
