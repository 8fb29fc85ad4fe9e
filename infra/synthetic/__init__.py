"""A hospital that does not exist: invented people, their journeys, and the messages that tell of them."""
