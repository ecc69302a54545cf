"""Sessions that run outside agentctl."""
