"""The report as a place of work: a server on this machine, and the pages that it serves."""
