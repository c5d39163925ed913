# The part that scripts/demo, scripts/test, scripts/check and .ci/run share; read with `.`, not run.
# Sets ROOT (the checkout), VENV (its environment) and PY (the Python inside it).

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
VENV=$ROOT/.venv
PY=$VENV/bin/python
ME=${0##*/}
cd "$ROOT" || exit 1

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$ME: $*"
    exit 1
}

# Prints the first Python that really runs and is new enough. A name on PATH is not proof: version
# managers leave stand-ins there that only print an error.
# PYTHON, where it is set, is the only candidate.
find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3.14 python3 python}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

have_uv() { command -v uv >/dev/null 2>&1; }

# Runs a command with its output in the log; on failure says in one line what is missing.
logged() {
    log=$VENV/install.log
    if "$@" >"$log" 2>&1; then
        return 0
    fi
    if grep -qiE 'NewConnectionError|NameResolutionError|name resolution|Name or service not known|Failed to establish a new connection|ConnectTimeout|ProxyError|Network is unreachable|No route to host|Connection refused|dns error|error sending request|client error \(Connect\)' "$log"; then
        die "no network: the package index cannot be reached, and the first run needs it (log: $log)"
    fi
    if grep -qi 'No space left on device' "$log"; then
        die "the disk is full (log: $log)"
    fi
    cause=$(grep -E '(^|[[:space:]])(ERROR|error|[A-Za-z]*Error):' "$log" |
        grep -v subprocess-exited | head -n 1 | sed 's/^ *//')
    die "installing failed: ${cause:-see the log} (log: $log)"
}

# make_venv: an empty environment in the checkout, unless one stands there that works here. The
# second line of its mark is the place it was made for: an environment cannot be moved.
make_venv() {
    if [ "$(cat "$VENV/made-for" 2>/dev/null)" = "$ROOT" ] && "$PY" -c '' >/dev/null 2>&1; then
        return 0
    fi
    python=$(find_python) || python=
    if [ -z "$python" ] && [ -n "${PYTHON:-}" ]; then
        die "PYTHON=$PYTHON does not run as Python 3.11 or newer"
    elif have_uv; then
        uv venv --quiet --clear --seed --python "${python:->=3.11}" "$VENV" ||
            die "uv could not make $VENV"
    else
        [ -n "$python" ] || die "Python 3.11 or newer is missing: install it, or set PYTHON=/path/to/python"
        "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
            die "the venv module of $python is missing (on Debian and Ubuntu: apt-get install python3-venv)"
        "$python" -m venv --clear "$VENV" || die "$python could not make $VENV"
    fi
    printf '%s\n' "$ROOT" >"$VENV/made-for"
}

# pip_install WORDS: by uv where it is there, else by the environment's own pip.
pip_install() {
    if have_uv; then
        logged uv pip install --python "$PY" "$@"
    else
        logged "$PY" -m pip install --disable-pip-version-check --retries 2 "$@"
    fi
}

# ensure WHAT REQUIREMENT: installs the checkout (editable, so that it never grows stale) as
# REQUIREMENT, once per version of pyproject.toml.
ensure() {
    make_venv
    stamp=$VENV/installed-$1
    want=$(cksum <pyproject.toml)
    [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return 0
    say "$ME: setting up .venv ($1; once, about a minute)"
    pip_install -e "$2"
    # pip compiles what it copies, but not a checkout that it points to.
    "$PY" -m compileall -q src || true
    printf '%s\n' "$want" >"$stamp"
}
