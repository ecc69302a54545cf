"""Supervise coding agents from any shell, without a daemon."""

__version__ = "0.1.0"
