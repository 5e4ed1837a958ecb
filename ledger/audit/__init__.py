"""Verifies the audit, without API and worker: `python -m ledger.audit`, or `settlement audit` (ADR 0027).

It needs only the right to read. An auditor runs it elsewhere, with a role that can only read.
"""
