"""Custody of keys: how they stand, their rotation, holds, destruction, and what a restore must learn again."""
