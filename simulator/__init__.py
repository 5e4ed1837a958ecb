"""The reference external system: a broker that keeps the contract, and breaks it on request.

It imports the contract and nothing else of ours: an oracle must not share the system's bugs.
It is not a load generator, not a client, and its books are not the settlement ledger.

Where to look: `books.py` the money and every transition; `faults.py` what may go wrong on request;
`request handler.py` one request from body to answer; `delivery.py` how the answer leaves; `journal.py` what came
in and how it ended; `app.py` the paths. `docs/simulator.md` is the page for broker engineers.
"""
