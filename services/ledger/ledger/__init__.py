"""The double-entry ledger: owns every balance, and nothing else can move money."""
