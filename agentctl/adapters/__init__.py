"""One module per agent program: a description, never an actor."""
