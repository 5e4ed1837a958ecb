"""The front door: starts settlements and answers for their state over HTTP. One file per endpoint."""
