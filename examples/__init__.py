"""How to talk to the platform from outside. What is here shares no code with it."""
