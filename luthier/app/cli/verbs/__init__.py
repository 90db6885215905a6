"""The verbs of the command line, a file each: arguments in, a `Job` out; nothing heavy is imported before it works."""
