"""State that outlives a process and that several ask for at once."""
