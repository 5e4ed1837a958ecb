"""The words every part shares: wire models, states, outcomes, ids, workflow payloads, error codes.

Imports nothing else of ours and no I/O library, so that the workflow sandbox, the simulator and a
stranger's conformance test can all load it. `docs/glossary.md` says what each word means.
"""
