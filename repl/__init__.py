"""The shell and scripts: what happens between a user's text and a connection."""
