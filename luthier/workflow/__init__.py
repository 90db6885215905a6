"""The verbs, a file each: where several parts are put together. A verb is a generator of events that returns its
result, so that the command line, the Python API and pages show the same work each in their own way."""
