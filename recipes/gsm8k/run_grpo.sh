#!/usr/bin/env bash
# The baseline: plain GRPO on all 7,473 questions, without the plugin.
#   bash recipes/gsm8k/run_grpo.sh [verl overrides]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
train_grpo grpo "$@"
