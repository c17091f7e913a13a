"""Tools for people and machines that run the platform: supervisor, set-up, demo, documents."""
