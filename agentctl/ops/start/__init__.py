"""Starting agents."""
