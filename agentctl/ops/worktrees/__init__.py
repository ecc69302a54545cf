"""Worktrees of agents."""
