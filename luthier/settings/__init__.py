"""The run file: its schema, its mistakes with line and column, and where each value came from."""
