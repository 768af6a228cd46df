#!/usr/bin/env bash
# Make the virtual environment $VENV and install this checkout with the extra $EXTRA into it.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} venv=${VENV:-.venv} extra=${EXTRA:-lab}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "jupyter-serving needs Python 3.11 or newer; $python is $("$python" --version 2>&1)." >&2
  echo "Name another one: make demo PYTHON=python3.12" >&2
  exit 1
fi
if ! command -v node >/dev/null || ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)'; then
  echo "Building the JupyterLab extension from a checkout needs Node 20.19+ or 22.12+ (a released wheel does not)." >&2
  exit 1
fi
# Compiled bytecode is what makes the first start of a command fast.
unset PYTHONDONTWRITEBYTECODE
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "installing jupyter-serving[$extra] into $venv (a few minutes the first time)"
"$venv/bin/python" -m pip install --quiet --upgrade pip
"$venv/bin/python" -m pip install --quiet ".[$extra]"
if [ "$extra" = test ]; then
  # Pinned, and not in the extra: where no build for CPUs is at hand, pip takes one with gigabytes for GPUs.
  "$venv/bin/python" -m pip install --quiet "${TORCH:-torch==2.13.0}"
fi
