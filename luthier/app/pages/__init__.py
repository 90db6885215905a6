"""The pages that people open in a browser: a file and a template a page, served on this machine."""
