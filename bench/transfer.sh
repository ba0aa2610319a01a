#!/usr/bin/env bash
# transfer.sh [MIB]: vol-download beside curl, from esx-sim over loopback; then with everything going wrong.
# Needs release builds of esx-sim and virtesx (BIN, default target/release), curl, sha256sum, GNU time.
set -euo pipefail
mib=${1:-4096}
bin=${BIN:-target/release}
dir=$(mktemp -d)
port=${PORT:-$((20000 + RANDOM % 20000))}
trap 'kill $sim 2>/dev/null || true; rm -rf "$dir"' EXIT
printf '[credentials-sim]\npassword=pass\n[auth-esx-127.0.0.1]\ncredentials=sim\n' >"$dir/auth"
url="http://127.0.0.1:$port/folder/vol%2Fd-flat.vmdk?dcPath=ha-datacenter&dsName=datastore1"
uri="esx://user@127.0.0.1:$port/?transport=http"

start() {
    "$bin/esx-sim" --listen "127.0.0.1:$port" --generate "vol/d.vmdk=$mib" "$@" >"$dir/sim" &
    sim=$!
    until [ -s "$dir/sim" ]; do sleep 0.1; done
}
stop() { kill "$sim"; wait "$sim" || true; tail -1 "$dir/sim"; }
virtesx() {
    LIBVIRT_AUTH_FILE=$dir/auth /usr/bin/time -f "virtesx: %e s, %U+%S s CPU, peak %M KiB" \
        "$bin/virtesx" -c "$uri" vol-download vol/d.vmdk "$1" datastore1
}
with_curl() { /usr/bin/time -f "curl: %e s, %U+%S s CPU, peak %M KiB" curl -sS -u user:pass -o "$1" "$url"; }

uptime
echo "== $mib MiB to /dev/null, three times each in turn"
start
for _ in 1 2 3; do with_curl /dev/null; virtesx /dev/null; done
stop
echo "== SHA-256"
start
curl -sS -u user:pass "$url" | sha256sum
virtesx - | sha256sum
stop
echo "== five broken connections, eight refusals with 503, one session ended"
plan='cut-body=1000000 @GET #21'
for n in 61 101 201 301; do plan="$plan; cut-body=1000000 @GET #$n"; done
for n in 141 142 143 144 145 146 147 148; do plan="$plan; status=503 @GET #$n"; done
start --fault "$plan; expire @GET #251"
virtesx - | sha256sum
stop
