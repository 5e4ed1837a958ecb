"""A broker's external system, to copy: requests.py reads, books.py decides, app.py answers (docs/brokers.md)."""
