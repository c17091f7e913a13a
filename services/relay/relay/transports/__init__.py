"""Where messages can be carried to."""
