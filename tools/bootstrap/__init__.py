"""Sets a fresh Debian 12 machine up: servers from Debian, libraries from the lock, nothing started.

Needs only python3 and root or sudo, and runs before any library exists: standard library alone in here.
"""
