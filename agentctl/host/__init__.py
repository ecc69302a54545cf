"""The operating system behind small functions. No rules live here."""
