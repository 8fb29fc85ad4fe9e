#!/usr/bin/env bash
# Makes .venv equal to requirements-dev.lock. Does nothing when it already is; a run that was cut short starts again.
#   setup.sh        install what the lock says
#   setup.sh lock   resolve pyproject.toml anew into requirements.lock and requirements-dev.lock
set -euo pipefail
cd "$(dirname "$0")/.."

# Not to standard output, which belongs to the command that needs the environment: `make -s token` prints a token alone.
say() { echo "setup: $1" >&2; }
fail() { say "$1"; exit 1; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed (Debian: apt-get install python3 python3-venv; macOS: brew install python@3.12)"
}

make_environment() {
    local python
    .venv/bin/python -c 'import pip' 2>/dev/null && return
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv || fail "venv cannot be made (Debian: apt-get install python3-venv)"
}

# uv is only a faster pip; where it cannot be had, pip does the same from the same hashes.
have_uv() {
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet uv || [ -x .venv/bin/uv ]
}

install() {
    if have_uv && .venv/bin/uv pip sync --quiet --require-hashes --python .venv/bin/python requirements-dev.lock; then
        return
    fi
    say "uv could not install; going on with pip, which takes a minute or more"
    .venv/bin/python -m pip install --quiet --require-hashes -r requirements-dev.lock ||
        fail "the packages could not be installed; the lines above say why"
}

lock() {
    local compile=(.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11)
    have_uv || fail "uv is needed to resolve versions: .venv/bin/python -m pip install uv"
    "${compile[@]}" pyproject.toml --output-file requirements.lock
    "${compile[@]}" pyproject.toml --extra dev --constraints requirements.lock --output-file requirements-dev.lock
}

# The path is part of the stamp because an environment that was moved no longer starts.
stamp() { { pwd; cat requirements-dev.lock infra/setup.sh; } | cksum; }

main() {
    local done=.venv/.installed
    [ "$(stamp)" = "$(cat "$done" 2>/dev/null)" ] && return
    make_environment
    rm -f "$done"
    install
    stamp > "$done"
    say ".venv is ready"
}

case "${1:-}" in
    lock) make_environment; lock ;;
    "") main ;;
    *) fail "unknown argument $1" ;;
esac
