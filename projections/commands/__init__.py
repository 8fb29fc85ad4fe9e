"""What `python -m projections` and `python -m infra evidence` offer to operators and auditors."""
