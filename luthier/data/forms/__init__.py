"""One file per row form: which fields it `needs`, which `fields` it knows, an `example`, and `parse`."""
