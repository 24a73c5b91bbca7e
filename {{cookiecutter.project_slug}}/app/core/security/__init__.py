"""Passwords, tokens and audit events. Must not import anything of HTTP or of the models."""
