"""The engine: rows laid out as a tree of shared tokens, attention over it, the vocabulary loss, scoring, generation."""
