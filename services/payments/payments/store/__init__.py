"""Every SQL statement of payments, beside its row mapping. A store works on one connection, inside its
caller's transaction."""
