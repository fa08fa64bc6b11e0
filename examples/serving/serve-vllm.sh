#!/usr/bin/env bash
# serve-vllm.sh NAME:VERSION [OPTION OF VLLM...]
#
# Serves a verified model with vLLM, and stops it when it is quarantined. With TOKENIZER or
# ADAPTER (NAME:VERSION each) in the environment those are verified and served with it.
set -euo pipefail

model=${1:?serve-vllm.sh NAME:VERSION [OPTION OF VLLM...]}
shift

set_of=()
options=()
if [ -n "${TOKENIZER:-}" ]; then
  set_of+=(--also "tokenizer=$TOKENIZER")
  options+=(--tokenizer '{tokenizer}')
fi
if [ -n "${ADAPTER:-}" ]; then
  set_of+=(--also "adapter=$ADAPTER")
  options+=(--enable-lora --lora-modules "${ADAPTER%:*}={adapter}")
fi

# Nothing that was not judged: no download, no pickled weights, no code out of the model.
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1

exec stemma exec "$model" "${set_of[@]}" \
  --watch "${WATCH:-60s}" --max-age "${MAX_AGE:-15m}" --grace "${GRACE:-60s}" -- \
  vllm serve '{path}' --served-model-name "$model" --load-format safetensors \
  "${options[@]}" "$@"
