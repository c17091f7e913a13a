"""A race day played through the public door by simulated people, and the checks of its final books."""
