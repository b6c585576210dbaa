"""The rules of reporting: one module a table, and the arithmetic that they share. Pure."""
