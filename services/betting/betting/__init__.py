"""Events, races, offers, matches, results and settlement; knows prices, never balances."""
