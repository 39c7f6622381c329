#!/usr/bin/env bash
# GRPO on a CPU with real verl, Ray and vLLM: a plain verl command line and one sparft name.
#   bash recipes/quickstart/train.sh runs/quickstart [more overrides]
set -euo pipefail
recipe=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$1" && pwd)
shift

# What a CPU run needs; on GPUs leave these and +sparft_platform=cpu out.
export VERL_PLATFORM=cpu VERL_ENGINE_DEVICE=cuda VLLM_CPU_KVCACHE_SPACE=1 OMP_NUM_THREADS=1
export HF_HUB_OFFLINE=1 RAY_USAGE_STATS_ENABLED=0 VLLM_NO_USAGE_STATS=1 TOKENIZERS_PARALLELISM=false
export RAY_memory_monitor_refresh_ms=0
export VERL_FILE_LOGGER_PATH="$out/metrics.jsonl"

steps=${STEPS:-50}
prompts=16
rollouts=8
samples=$((prompts * rollouts))
# Memory-R+ pays for exploration after a warm-up; the paper's 50 steps would be this whole run.
warmup=10

exec "${PYTHON:-python}" -m verl.trainer.main_ppo \
  hydra.run.dir="$out/hydra" \
  +sparft_platform=cpu \
  algorithm.adv_estimator=grpo \
  data.train_files="$out/data/train.parquet" \
  data.val_files="$out/data/test.parquet" \
  data.train_batch_size=$prompts \
  data.max_prompt_length=80 \
  data.max_response_length=32 \
  reward.custom_reward_function.path="$recipe/reward.py" \
  reward.num_workers=1 \
  actor_rollout_ref.model.path="$recipe/model" \
  actor_rollout_ref.model.use_remove_padding=True \
  actor_rollout_ref.actor.optim.lr=2e-4 \
  actor_rollout_ref.actor.ppo_mini_batch_size=$prompts \
  actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16 \
  actor_rollout_ref.actor.checkpoint.save_contents='[model,optimizer,extra,hf_model]' \
  actor_rollout_ref.rollout.n=$rollouts \
  actor_rollout_ref.rollout.temperature=1.0 \
  actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16 \
  actor_rollout_ref.rollout.max_model_len=112 \
  actor_rollout_ref.rollout.max_num_seqs=$samples \
  actor_rollout_ref.rollout.max_num_batched_tokens=2048 \
  trainer.project_name=quickstart \
  trainer.experiment_name=sparft_memory \
  trainer.logger='[console,file]' \
  trainer.val_before_train=False \
  trainer.test_freq=-1 \
  trainer.save_freq=$steps \
  trainer.max_actor_ckpt_to_keep=1 \
  trainer.total_epochs=1000 \
  trainer.total_training_steps=$steps \
  trainer.default_local_dir="$out/checkpoints" \
  +sparft=sparft_memory \
  +sparft.memory.warmup_steps=$warmup \
  "$@"
