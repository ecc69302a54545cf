"""Pure rules and values: no clock, file, process, database or adapter."""
