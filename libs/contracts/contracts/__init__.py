"""What the services say to each other: commands, events, receipts and the broker topology."""
