"""New tables beside the ones that are served: filled, caught up, compared, switched, and the way back."""
