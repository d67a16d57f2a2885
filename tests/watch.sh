#!/usr/bin/env bash
# The second way to run the functions: `cargo lambda watch` joined to a stack of `cargo local --no-story`.
# Invokes every function with its sample, and sends a signed webhook through the watch router.
set -euo pipefail
cd "$(dirname "$0")/.."
port=${WATCH_PORT:-9005}
logs=target/watch
mkdir -p "$logs"

command -v cargo-lambda >/dev/null || { echo "cargo-lambda is missing: pip install cargo-lambda"; exit 1; }

finish() {
  # The watcher is the leader of a group with everything it started.
  [ -z "${watch:-}" ] || kill -INT -- "-$watch" 2>/dev/null || true
  [ -z "${stack:-}" ] || kill -INT "$stack" 2>/dev/null || true
  wait 2>/dev/null || true
}
trap finish EXIT

# Each line of output is a chance to go on; the last one of the start says that everything answers.
await() {
  local file=$1 words=$2 pid=$3
  grep --quiet --max-count=1 --fixed-strings "$words" < <(timeout 300 tail --pid="$pid" --lines=+1 --follow "$file" 2>/dev/null) || {
    echo "no \"$words\" in $file:"; cat "$file"; exit 1
  }
}

: >"$logs/stack.log" >"$logs/watch.log"
cargo build --quiet --bins
target/debug/local --no-story --port 0 >"$logs/stack.log" 2>&1 &
stack=$!
await "$logs/stack.log" "Ctrl-C stops" "$stack"

set -m
cargo lambda watch --invoke-address 127.0.0.1 --invoke-port "$port" --env-file target/local/env >"$logs/watch.log" 2>&1 &
watch=$!
set +m
await "$logs/watch.log" "starting Runtime server" "$watch"

invoke() {
  local function=$1 event=$2 expected=$3 answer
  answer=$(cargo lambda invoke "$function" --data-file "events/$event" --invoke-address 127.0.0.1 --invoke-port "$port") || {
    echo "$function with events/$event failed: $answer"; cat "$logs/watch.log"; exit 1
  }
  case $answer in
    *"$expected"*) echo "  $function with events/$event: $expected" ;;
    *) echo "$function with events/$event answered $answer, without $expected"; exit 1 ;;
  esac
}

invoke webhook-ingest http-webhook-stripe.json '"statusCode":400'
invoke oauth-callback http-connect.json '"statusCode":401'
invoke integrations-api http-integrations.json '"statusCode":401'
invoke operator-api http-deliveries.json '"statusCode":401'
invoke api-proxy http-action.json '"statusCode":401'
invoke webhook-process sqs-webhooks.json '"batchItemFailures":[]'
invoke sync-worker sqs-syncs.json '"batchItemFailures":[]'
invoke token-refresh sqs-refreshes.json '"batchItemFailures":[]'
invoke sync-scheduler sqs-schedules.json '"batchItemFailures":[]'
invoke sync-scheduler schedule-syncs.json '"sent":0'
invoke token-refresh schedule-refresh.json '"sent":0'

answer=$(target/debug/local sign --provider stripe events/stripe-signature-vector.json \
  --send "http://127.0.0.1:$port/webhooks/stripe" || true)
[ "$answer" = "200 OK Received" ] || { echo "the router answered: $answer"; cat "$logs/watch.log"; exit 1; }
echo "  a signed webhook through the router: $answer"

session=$(target/debug/local token --user someone)
answer=$(curl --silent --show-error --header "Authorization: Bearer $session" "http://127.0.0.1:$port/integrations/stripe" || true)
case $answer in
  *'"state":"never_connected"'*) echo "  the status through the router: never_connected" ;;
  *) echo "the router answered /integrations/stripe with: $answer"; exit 1 ;;
esac
