"""One file per command; the only package that prints. stdout is the answer, stderr the rest."""
