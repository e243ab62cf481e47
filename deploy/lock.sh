#!/bin/sh
# Choose the versions of all dependencies anew and write the two lock files: names, versions, hashes, no addresses.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/python -m pip install --quiet uv
compile() {
    # fewest: one version of a package for every Python, so that types and tests see the same everywhere
    .venv/bin/uv pip compile --quiet --universal --fork-strategy fewest --generate-hashes --no-emit-index-url --no-annotate --no-header \
        --python-version 3.11 pyproject.toml "$@"
}
compile --extra server --extra proxy --extra backup --extra duplicity --extra s3 --extra embedded --extra build -o requirements.lock
compile --all-extras -c requirements.lock -o requirements-dev.lock
