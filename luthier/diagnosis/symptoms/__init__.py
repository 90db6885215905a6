"""The symptoms, one a file: see `luthier.diagnosis`."""
