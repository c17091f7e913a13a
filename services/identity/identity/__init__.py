"""People: registration, passwords, sessions, roles and the tokens services trust."""
