"""Every SQL statement of identity, each beside its row mapping. A store works on one connection, inside its
caller's transaction."""
