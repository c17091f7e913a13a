"""A simulated SPEI: the rail, the central bank's receipts and the other banks' customers, in one process.

It is a stranger to the platform on purpose: it shares no code with it, keeps its own truth, and can be
told to be slow, to refuse, to lose an answer or to let its two sources contradict each other.
"""
