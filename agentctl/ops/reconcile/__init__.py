"""Observe, decide, apply: the first step of every command about sessions."""
