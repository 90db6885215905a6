"""One file per row form: which fields it `needs`, which `fields` it knows, an `example`, `parse` and `write`.

`gives` is the form of the conversations that its rows become.
"""
