# Sourced by up, down, demo and test: makes this machine able to run the project, then returns.
#
# Debian 12 with its Python 3.11 is enough; as root, or as a user with sudo. What apt has to install is named before it
# is installed. All else goes below .local/, through pip, uv and mvn with their caches there, so HOME is not used.
# Everything is skipped when it is there already.

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

bootstrap_uv_version=0.13.8
bootstrap_venv=$PWD/.local/venv
export PIP_CACHE_DIR=$PWD/.local/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1
export UV_CACHE_DIR=$PWD/.local/cache/uv UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_PROGRESS=1
# A role starts in a third of the time, also where PYTHONDONTWRITEBYTECODE keeps Python from doing this by and by.
export UV_COMPILE_BYTECODE=1
# Where companies and CI trust their own certificates, the system knows them.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}

bootstrap_say() { printf '[%5s s] %s\n' "$SECONDS.0" "$*" >&2; }
bootstrap_fail() { printf '%s\n' "$*" >&2; exit 1; }

# Runs a step; after two seconds says what is going on, and how long it took at the end. A failure shows the step's output.
bootstrap_step() {
  local name=$1 began=$SECONDS output status=0 ticker
  shift
  output=$(mktemp)
  (
    trap 'kill "$nap" 2>/dev/null; exit' TERM
    for wait_s in 2 5 5 5 5 5 5 5 5 5 10 10 10 10 10 10 10 10 10 10 30 30 30 30 30 30 30 30; do
      sleep "$wait_s" & nap=$!
      wait "$nap"
      bootstrap_say "$name …"
    done
  ) & ticker=$!
  "$@" >"$output" 2>&1 || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if [ "$status" != 0 ]; then
    tail -n 30 "$output" >&2
    rm -f "$output"
    bootstrap_fail "$name failed; its output is above"
  fi
  rm -f "$output"
  [ $((SECONDS - began)) -lt 2 ] || bootstrap_say "$name: done in $((SECONDS - began)) s"
}

bootstrap_java_is_new_enough() {
  local major
  command -v java >/dev/null || return 1
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge 17 ]
}

# The Debian packages this machine lacks.
bootstrap_missing_packages() {
  [ -n "$bootstrap_python" ] || echo python3.11
  "${bootstrap_python:-false}" -c 'import ensurepip' 2>/dev/null || echo python3-venv
  bootstrap_java_is_new_enough || echo openjdk-17-jre-headless
  command -v mvn >/dev/null || echo maven
  [ -n "$(compgen -G '/usr/lib/postgresql/*/bin/initdb')" ] || echo postgresql-15
  command -v wkhtmltopdf >/dev/null || echo wkhtmltopdf
  [ -z "${bootstrap_browser:-}" ] || command -v chromium >/dev/null || echo chromium
}

bootstrap_install() {
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || bootstrap_fail "missing: $*; install them as root, or install sudo"
    as_root=(sudo)
  fi
  bootstrap_say "apt-get installs what this machine lacks: $*"
  # We run a private cluster. Installing the package must not start one of the system's.
  if [[ " $* " == *" postgresql-15 "* ]]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" |
      "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/fusion-billing.conf >/dev/null
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
  bootstrap_step "apt-get update" "${apt[@]}" update
  bootstrap_step "apt-get install" "${apt[@]}" install -y --no-install-recommends "$@"
}

bootstrap_machine() {
  local system missing
  system=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}") || true
  bootstrap_python=/usr/bin/python3.11
  [ -x "$bootstrap_python" ] || bootstrap_python=$(command -v python3.11 || true)
  mapfile -t missing < <(bootstrap_missing_packages)
  if [ "$system" != "debian 12" ] || [ -z "$bootstrap_python" ]; then
    bootstrap_fail "this needs Debian 12 with python3.11; here is '${system:-an unknown system}'" \
      "without: ${missing[*]:-nothing}. Elsewhere run it in a container of Debian 12."
  fi
  [ "${#missing[@]}" = 0 ] || bootstrap_install "${missing[@]}"
}

# The stamp is the hash of what the environment was made from.
bootstrap_environment() {
  local stamp uv=.local/uv/bin/uv
  stamp=$(cat requirements.lock pyproject.toml deploy/bootstrap.sh | sha256sum)
  [ "$(cat "$bootstrap_venv/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
  if [ "$("$uv" --version 2>/dev/null | cut -d' ' -f2)" != "$bootstrap_uv_version" ]; then
    bootstrap_step "Python: venv for uv" "$bootstrap_python" -m venv --clear .local/uv
    bootstrap_step "Python: download uv" .local/uv/bin/python -m pip install --quiet "uv==$bootstrap_uv_version"
  fi
  "$bootstrap_venv/bin/python" -c '' 2>/dev/null ||
    bootstrap_step "Python: environment" "$uv" venv --quiet --clear --python "$bootstrap_python" "$bootstrap_venv"
  bootstrap_step "Python: locked packages" \
    "$uv" pip sync --require-hashes --python "$bootstrap_venv/bin/python" requirements.lock
  bootstrap_step "Python: this project" \
    "$uv" pip install --no-deps --python "$bootstrap_venv/bin/python" --editable .
  printf '%s' "$stamp" >"$bootstrap_venv/.stamp"
}

mkdir -p .local/cache
# In a subshell: the lock ends with it and is not inherited by what is started later.
( flock 9; bootstrap_machine; bootstrap_environment ) 9>.local/bootstrap.lock || exit 1
