"""Files and their contents: atomic writes, locks, rows, columns, ids, conversations."""
