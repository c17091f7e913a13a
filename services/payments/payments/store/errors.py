"""What a store finds when it is too late: for the workers, never for a client."""


class LeaseLost(Exception):
    """Somebody else has worked on it meanwhile; what we found out is theirs to find out again."""
