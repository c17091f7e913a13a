"""A storm: bettors and officials who do whatever comes to their minds, while our processes are killed under their hands.

What everybody was told is written down, and compared with the books afterwards.
"""
