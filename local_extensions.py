"""The filter with which cookiecutter.json refuses a project_slug that is a path.

The hook pre_gen_project would be too late: cookiecutter makes all folders of the path before it, and
removes only the innermost afterwards. cookiecutter loads this module itself (`_extensions`).
"""

import sys

from cookiecutter.utils import simple_filter


@simple_filter  # type: ignore[untyped-decorator]
def one_folder(slug: str) -> str:
    """Return the slug, or exit with one sentence: cruft shows a traceback for any other exception."""
    if "/" in slug or "\\" in slug:
        sys.exit(
            f"project_slug {slug!r} names a folder in another: answer with one name, such as 'demo-service'."
        )
    return slug
