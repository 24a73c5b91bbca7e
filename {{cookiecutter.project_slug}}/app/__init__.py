__title__ = "{{ cookiecutter.__project_name }}"
__description__ = "{{ cookiecutter.__description }}"
__version__ = "0.1.0"
