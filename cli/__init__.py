"""The command `settlement`: all that an operator needs, over HTTP only. Of ours it knows the words of `contract/`."""
