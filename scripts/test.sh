#!/usr/bin/env bash
# Every check of the project, from a bare checkout. Stops at the first kind of check that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

step "machine"
bash scripts/machine.sh
step "install"
EXTRA=test bash scripts/install.sh
unset PYTHONDONTWRITEBYTECODE
step "lint and types (Python)"
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
step "lint and unit tests (TypeScript)"
# The build of the extension has left its packages here.
(cd labextension && "../$venv/bin/jlpm" lint && "../$venv/bin/jlpm" test)
step "tests"
exec "$venv/bin/pytest" tests "$@"
