#!/usr/bin/env bash
# Every check of the project, from a bare checkout. Stops at the first kind of check that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}  # relative to the checkout
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

step "machine"
bash scripts/machine.sh
step "install"
EXTRA=test bash scripts/install.sh
unset PYTHONDONTWRITEBYTECODE
PATH="$PWD/$venv/bin:$PATH"
export PATH
step "lint and types (Python)"
ruff check .
ruff format --check .
mypy
step "lint and unit tests (TypeScript)"
# The build of the extension has left its packages here; its scripts call jlpm by name.
(cd labextension && jlpm lint && jlpm test)
step "tests"
exec pytest tests "$@"
