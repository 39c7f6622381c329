"""Adapters to trainers; each room imports its own host and nothing else does."""
