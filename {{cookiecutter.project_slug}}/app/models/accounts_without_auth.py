"""The tables of accounts."""

from app.models.user import User as User
