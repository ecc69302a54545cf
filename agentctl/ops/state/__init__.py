"""The state as a whole: looking at it, mending it, forgetting."""
