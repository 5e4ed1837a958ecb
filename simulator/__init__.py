"""The reference external system: a broker that keeps the contract, and breaks it on request.

It imports only `contract/`, so that it cannot share a bug with the system under test. It is not a load generator and
not a client, and its books are not the settlement ledger.

Where to look:

- `app.py`: the three operations as HTTP paths; `strict.py`: which requests are refused as ambiguous.
- `request_handler.py`: one request, from its body to its reply; `request_bodies.py`: the rules of its body.
- `books.py`, `book_records.py`: the balances, and what happened to each adjust number.
- `faults.py`: the faults that a request can ask for; `outages.py`: outages switched on over HTTP.
- `delivery.py`, `payloads.py`, `replies.py`: what a reply contains, and how it is sent.
- `call_journal.py`: every request received, and how it ended; `inspection.py`: HTTP routes that show all of this.
- `service.py`, `database.py`, `connection.py`, `server.py`: one running simulator.

`docs/simulator.md` explains it to broker engineers.
"""
