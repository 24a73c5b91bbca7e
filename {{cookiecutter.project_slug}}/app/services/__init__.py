"""All business rules. May import the layers below and `app.core`, and nothing of FastAPI or Starlette."""
