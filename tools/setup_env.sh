#!/bin/sh
# Makes or refreshes one virtual environment from a locked set of versions.
#
#   tools/setup_env.sh VENV PYTHON LOCK        e.g.  tools/setup_env.sh .venv 3.10 constraints/py310.txt
#
# VENV is a folder in the repository, PYTHON a version such as 3.10, LOCK a file of name==version lines. Returns at once
# when VENV was already made from the same files. The stamp in VENV is written last, and the marker VENV.installing stands
# while work goes on, so a set-up that was killed starts from an empty VENV the next time.
#
# TFGEN_PYTHON=/path/to/python chooses the interpreter; otherwise it is looked for, and fetched through uv as a last resort.
set -eu

[ $# -eq 3 ] || { echo "usage: $0 VENV PYTHON LOCK" >&2; exit 2; }
venv=$1 version=$2 lock=$3
cd "$(dirname "$0")/.."
root=$(pwd)
stamp=$venv/.tfgen-stamp
marker=$venv.installing

say() { echo "[set-up] $*" >&2; }
die() { say "FAILED: $*"; exit 1; }

# What the environment depends on: these files, the place of the tree (scripts hold absolute paths) and the packages in it.
key() { { echo "$root $version"; ls -d -- */__init__.py 2>/dev/null || :; cat "$lock" setup.cfg pyproject.toml "$0"; } | cksum; }
python_is() { "$1" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" >/dev/null 2>&1; }
fresh() { [ ! -e "$marker" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(key)" ] && [ -x "$venv/bin/python" ]; }

[ -f "$lock" ] || die "there is no lock file '$lock'."
fresh && exit 0

# Two makes at once: the second waits for the first. (Where flock is missing they are not kept apart.)
if command -v flock >/dev/null 2>&1; then
    exec 9>"$venv.lock"
    flock -n 9 || { say "waiting for another set-up of $venv ..."; flock 9; }
    fresh && exit 0
fi

start=$(date +%s)
say "making $venv (Python $version, $(wc -l <"$lock") packages); the first time on a machine downloads up to 1 GB"

# uv: the one on PATH if it runs (a pyenv shim may not), else our own copy in .tools, else none (then pip does the work).
find_uv() {
    for uv in uv "$root/.tools/bin/uv" "${HOME:-}/.local/bin/uv" "${HOME:-}/.cargo/bin/uv"; do
        "$uv" --version >/dev/null 2>&1 && return 0
    done
    for python in "${TFGEN_PYTHON:-}" python3 "python$version" python; do
        [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1 || continue
        say "no uv on this machine: installing it into .tools with $python"
        rm -rf .tools
        { "$python" -m venv .tools && .tools/bin/python -m pip install --quiet uv; } >&2 ||
            { rm -rf .tools && "$python" -m pip install --quiet --target .tools uv; } >&2 || continue
        uv=$root/.tools/bin/uv
        "$uv" --version >/dev/null 2>&1 && return 0
    done
    uv=
    say "uv could not be installed; going on with pip, which is slower"
}

# Trust what the machine trusts: behind a company's proxy uv's own list of certificates is not enough.
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

# The interpreter: every candidate is run, because a pyenv shim of the right name may refuse to.
find_python() {
    if [ -n "${TFGEN_PYTHON:-}" ]; then
        python_is "$TFGEN_PYTHON" || die "TFGEN_PYTHON='$TFGEN_PYTHON' does not run as Python $version."
        python=$TFGEN_PYTHON
        return 0
    fi
    pyenv=${PYENV_ROOT:-${HOME:-}/.pyenv}
    on_path=$(command -v "python$version" || :)
    for python in "$on_path" "$pyenv/versions/$version".*/bin/python "${on_path%/shims/*}/versions/$version".*/bin/python \
        /usr/bin/"python$version" /usr/local/bin/"python$version" /opt/homebrew/bin/"python$version" \
        "$([ -z "$uv" ] || "$uv" python find --system --no-python-downloads "$version" 2>/dev/null || :)"; do
        [ -n "$python" ] && python_is "$python" && return 0
    done
    [ -n "$uv" ] || die "no Python $version found. Install Python $version or uv, or set TFGEN_PYTHON=/path/to/python$version."
    say "no Python $version on this machine: fetching one with uv"
    "$uv" python install "$version" >&2 ||
        die "Python $version is not here and uv could not fetch it. Is there a network? Install Python $version, or set" \
            "TFGEN_PYTHON=/path/to/python$version, and run the same command again."
    python=$("$uv" python find --system "$version") && python_is "$python" || die "uv's Python $version does not run."
}

install() {
    say "installing and compiling the packages of $lock"
    quiet=--quiet
    [ ! -t 2 ] || quiet= # a person sees uv's progress; a log does not get its 277 lines
    if [ -n "$uv" ]; then
        # Compiled at once (on all cores, 20 s): where PYTHONDONTWRITEBYTECODE is set, every import of TFX would take 26 s, not 9.
        # Source distributions are built with the locked setuptools too.
        "$uv" pip sync $quiet --compile-bytecode --python "$venv/bin/python" --build-constraints "$lock" "$lock" >&2 &&
            "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable . >&2
    else
        "$venv/bin/python" -m pip install --quiet --upgrade pip setuptools wheel >&2 &&
            "$venv/bin/python" -m pip install --no-deps --requirement "$lock" >&2 &&
            "$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable . >&2
    fi
}

find_uv
[ ! -e "$marker" ] || { say "the last set-up of $venv did not finish: starting over"; rm -rf "$venv"; }
[ ! -e "$venv" ] || python_is "$venv/bin/python" || { say "$venv holds no working Python $version: starting over"; rm -rf "$venv"; }
refresh=; [ ! -e "$stamp" ] || refresh=yes
: >"$marker"
rm -f "$stamp"
if [ ! -e "$venv" ]; then
    find_python
    say "Python: $python; installer: ${uv:-pip}"
    if [ -n "$uv" ]; then "$uv" venv --quiet --python "$python" "$venv" >&2; else "$python" -m venv "$venv" >&2; fi ||
        die "could not make $venv with $python."
fi
install || {
    [ -z "$refresh" ] || rm -f "$marker" # it was whole before: keep what there is, the next call goes on from it
    die "the packages in $lock could not be installed (see above). Is there a network, and enough disk (4 GB)?" \
        "Run the same command again to go on, or delete $venv first to start from nothing."
}
key >"$venv/.tfgen-stamp.tmp"
mv "$venv/.tfgen-stamp.tmp" "$stamp"
rm -f "$marker"
say "$venv is ready after $(($(date +%s) - start)) s"
