#!/bin/sh
# compositor.sh [CRITERION ARGUMENTS]: the compositor's bench with libyuv (Debian: libyuv-dev) beside it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if cc -O3 "$here/compositor.c" -lyuv -lm -o "$work/compositor"; then
    export COMPOSITOR_PEER="$work/compositor"
else
    echo "skipped: libyuv is not here" >&2
fi
cargo bench --manifest-path "$here/../Cargo.toml" --bench compositor -- "$@"
