"""Finding sessions, and the verbs about them."""
