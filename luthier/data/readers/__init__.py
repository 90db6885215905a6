"""One file per file format, named by the ending: `read(file, name)` gives a `Record` or a `Problem` for every row."""
