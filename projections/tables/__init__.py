"""Where documents stand: sealed rows, which table is served, who is parked, whether the line has stopped."""
