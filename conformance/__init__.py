"""The conformance kit: checks a broker's external system against the wire contract, from outside, over HTTP.

A broker's engineer runs `settlement-conformance run --base-url URL` before going live. Of ours it imports only
`contract/`, so it needs neither Temporal nor a database. It does not test performance beyond the 3 seconds of the
contract, and it is not a client for production.

Where to look:

- `app.py`, `arguments.py`: the command line; `options.py`, `settings.py`: its values; `target.py`: the endpoint that
  they describe; `console.py`: what a person sees.
- `requirement.py`: requirements, their outcomes and the registry; `checks/`: one module for each theme.
- `kit.py`, `client.py`, `orders.py`, `cancelling.py`: what a check uses; `reading.py`: how a reply is read.
- `exchange.py`, `connection.py`, `wire.py`: raw HTTP, byte for byte.
- `run.py`, `verdict.py`: one run and its verdict; `report/`: the reports of a run.
- `curl.py`, `dry_run.py`, `imagined.py`: the curl commands of a requirement, without sending anything.
- `listing.py`: docs/conformance/requirements.md.
"""
