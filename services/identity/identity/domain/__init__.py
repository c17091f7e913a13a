"""Who people are to us and what they may do: the rules, without I/O, clock or randomness."""
