"""The wire contract with the external system: fields, the three operations, the reply, and strict reading of requests.

It imports no other package of this project and does no I/O, so the simulator and conformance tests can import it alone.
"""
