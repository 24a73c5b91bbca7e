__title__ = "{{ cookiecutter.__project_name }}"
__description__ = "{{ cookiecutter.__description }}"
__author__ = "{{ cookiecutter.__author_name }}"
__author_email__ = "{{ cookiecutter.author_email }}"
# An SPDX license expression, as in pyproject.toml.
__license__ = "{{ cookiecutter.license|replace('Proprietary', 'LicenseRef-Proprietary') }}"
__version__ = "0.1.0"
