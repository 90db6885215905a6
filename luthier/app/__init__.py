"""The faces of Luthier: the command line."""
