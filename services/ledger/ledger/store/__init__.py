"""Every SQL statement of the ledger, beside its row mapping."""
