# The base image, for Dependabot, which reads FROM but no ARG (dependabot-core issue 2057). CI compares
# it with PYTHON_IMAGE in the Dockerfile. The README says how to pin both to a digest.
FROM python:3.13-slim
