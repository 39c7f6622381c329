#!/usr/bin/env bash
# Memory-R+: all questions, and a reward for past successes and new failures.
#   bash recipes/gsm8k/run_memory_r_plus.sh [verl overrides]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
train_grpo memory_r_plus +sparft=memory_r_plus "$@"
