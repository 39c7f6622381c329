"""The adapter to verl 0.9: dataset, replay buffer, reward manager, preflight, CPU platform."""
