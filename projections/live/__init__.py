"""The running read side: engine, signals, how it stands, and what an operator does with what is served."""
