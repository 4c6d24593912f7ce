"""What every package of the project shares: errors, the command line, configuration, files."""
