"""The offline pages of a run: what stands in its directory, as one HTML file."""
