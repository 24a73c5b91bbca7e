"""All business rules. May import repositories, schemas and errors, but nothing of HTTP."""
