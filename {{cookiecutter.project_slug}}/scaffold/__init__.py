"""What writes code: `app new`, `app remove`, `app rename` and `app recipe`. It is not deployed.

`templates/` has the files of a new resource, each at its place in the project. In their names,
SINGULAR and PLURAL stand for the name of the resource. They are templates of Mako, as
`alembic/script.py.mako` is. Change them, and add your own, as your project needs it.
"""
