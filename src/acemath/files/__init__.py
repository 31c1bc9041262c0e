"""Files and what is in them: atomic writes, locks, rows, columns, ids, conversations."""
