"""What the processes are told from outside: settings, logging, the way to Temporal."""
