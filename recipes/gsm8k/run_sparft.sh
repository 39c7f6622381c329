#!/usr/bin/env bash
# SPaRFT: 100 questions in 10 arms, ordered by a Thompson-sampling bandit.
#   bash recipes/gsm8k/run_sparft.sh [verl overrides]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
train_grpo sparft +sparft=sparft "$@"
