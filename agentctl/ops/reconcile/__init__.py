"""Observe, decide, apply: what every command that speaks of sessions begins with."""
