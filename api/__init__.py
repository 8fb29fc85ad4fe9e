"""The edge for people and clients: authorise, translate, answer."""
