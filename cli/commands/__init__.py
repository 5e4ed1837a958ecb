"""The commands: one module for each command or group of commands, and the views that they share."""
