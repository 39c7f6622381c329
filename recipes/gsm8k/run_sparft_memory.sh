#!/usr/bin/env bash
# SPaRFT and Memory-R+ together.
#   bash recipes/gsm8k/run_sparft_memory.sh [verl overrides]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
train_grpo sparft_memory +sparft=sparft_memory "$@"
