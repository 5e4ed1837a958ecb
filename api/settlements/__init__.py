"""The endpoints of settlements: post, read, events, explain, operator actions."""
