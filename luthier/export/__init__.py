"""A finished run in a form that other tools load, read back by those tools and compared with the run."""
