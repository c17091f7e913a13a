"""Use cases: what people ask for, what the workers carry on with, what the ledger tells."""
