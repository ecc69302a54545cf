"""The state kept in SQLite: SQL lives in this package and nowhere else."""
