"""The state as a whole: inspecting it, repairing it, pruning it."""
