"""Use cases: a runtime and a request in, a result out. No Click, no printing, no rules."""
