#!/usr/bin/env bash
# Sends what the OpenAPI document allows, and what it does not, to every route of a fresh server, with schemathesis (PyPI).
#
# tools/schemathesis.sh [SECONDS [SEED]]: fuzzing goes on for so many seconds (60) after all cases of the document.
# Fails where an answer is a fault of the server (5xx), has a status, media type, header or shape that the document does
# not say, where something that the document forbids is taken, or where a method that is not there is not 405.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
seed=${2:-1}
version=4.32.5
tools=target/tools/schemathesis-$version
if [ ! -x "$tools/bin/schemathesis" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet "schemathesis==$version"
fi
cargo build --release
place=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" || true; wait "$server" || true; fi; rm -rf "$place"' EXIT
target/release/sagabus serve --data-dir "$place/data" --listen 127.0.0.1:0 >"$place/out" 2>"$place/err" &
server=$!
until address=$(grep -o 'http://[0-9.:]*' "$place/out"); do
    kill -0 "$server"
    sleep 0.1
done
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks=$checks,response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance
send() {
    SCHEMATHESIS_HOOKS=tools.schemathesis_hooks PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 "$tools/bin/schemathesis" run "$address/openapi.json" --checks "$checks" --continue-on-failure --seed "$seed" \
        --no-color --warnings off "$@"
}
send --phases examples,coverage
# What was sent may have paused a subscription: readiness is 503 then, rightly. Lines of JSON cannot be drawn.
send --phases fuzzing,stateful --max-time "$seconds" --exclude-path /health/ready --exclude-path /api/sagas/health \
    --exclude-path /api/dead-letters/import
