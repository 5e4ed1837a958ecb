"""Configuration of the processes: settings, logs, traces, secrets, the connection to Temporal, start and end."""
