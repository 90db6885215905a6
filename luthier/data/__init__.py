"""From a user's file to token rows: read, check, split, render, tokenize; each step in its own file."""
