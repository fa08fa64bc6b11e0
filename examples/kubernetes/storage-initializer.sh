#!/bin/sh
# storage-initializer.sh stemma://NAME:VERSION DIRECTORY
#
# What KServe calls to have a model in /mnt/models: asks the gate, and puts the files into
# DIRECTORY after a yes. KServe gives this container no volume but DIRECTORY, so trust.yaml,
# feed-root.json and policy.yaml are in the image, in /etc/stemma: its digest pins them all.
# DIRECTORY is the Pod's own; whatever is in it is removed first.
set -eu
umask 022

if [ $# -ne 2 ]; then
  echo >&2 "storage-initializer: one stemma://NAME:VERSION and its DIRECTORY, not $# arguments"
  exit 2
fi
uri=$1
target=$2
config=${STEMMA_CONFIG:-/etc/stemma}

case $uri in
  stemma://[!-]*) ref=${uri#stemma://} ;;
  *)
    echo >&2 "storage-initializer: $uri is not stemma://NAME:VERSION"
    exit 2
    ;;
esac

# A container that begins again finds what the one before it left.
find "$target" -mindepth 1 -delete

# The one place that can be written to; it goes before the server comes.
work=$(mktemp -d "$target/.stemma.XXXXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM
export STEMMA_HOME="$work/home" TMPDIR="$work"

stemma feed trust "$config/feed-root.json" >&2
stemma pull "$ref" "$work/new" --verified \
  --trust "$config/trust.yaml" --policy "$config/policy.yaml" \
  --stage "${STAGE:-prod}" --max-age "${MAX_AGE:-15m}"
find "$work/new" -mindepth 1 -maxdepth 1 -exec mv -t "$target" -- {} +
