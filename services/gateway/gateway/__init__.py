"""The only public door: sessions to internal tokens, routing and deep health."""
