"""The endpoints of one settlement and of the list: post, get, list, events, explain, operator actions."""
