"""The verbs: Click only. A command builds a request, calls one operation and prints its result."""
