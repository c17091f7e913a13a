"""Identity's use cases, one transaction each. Hashing, Redis and messages stay outside of the transactions."""
