"""The commands, one file for each thing that can be asked for."""
