# shellcheck shell=bash
# The GRPO recipe that the run scripts share: GSM8K, Qwen2.5-0.5B-Instruct, one GPU. Sourced, not run.
#   MODEL_PATH  hub id or folder of the model    default Qwen/Qwen2.5-0.5B-Instruct
#   DATA_DIR    folder that prepare.py wrote     default data/gsm8k
#   OUT_DIR     metrics and checkpoints          default runs/gsm8k/NAME
#   PYTHON      interpreter                      default python
set -euo pipefail

# train_grpo NAME [overrides]: later overrides win over the recipe's.
train_grpo() {
  local name=$1 model data out
  shift
  model=${MODEL_PATH:-Qwen/Qwen2.5-0.5B-Instruct}
  data=${DATA_DIR:-data/gsm8k}
  out=${OUT_DIR:-runs/gsm8k/$name}
  export VERL_FILE_LOGGER_PATH="$out/metrics.jsonl"

  # Optimiser, group size, lengths, temperature and KL as in Memory-R; see the README's table.
  exec "${PYTHON:-python}" -m verl.trainer.main_ppo \
    hydra.run.dir="$out/hydra" \
    algorithm.adv_estimator=grpo \
    algorithm.use_kl_in_reward=False \
    data.train_files="$data/train.parquet" \
    data.val_files="$data/test.parquet" \
    data.train_batch_size=16 \
    data.max_prompt_length=512 \
    data.max_response_length=200 \
    actor_rollout_ref.model.path="$model" \
    actor_rollout_ref.actor.optim.lr=5e-6 \
    actor_rollout_ref.actor.optim.betas='[0.9,0.99]' \
    actor_rollout_ref.actor.optim.weight_decay=0.1 \
    actor_rollout_ref.actor.optim.lr_scheduler_type=cosine \
    actor_rollout_ref.actor.optim.lr_warmup_steps_ratio=0.1 \
    actor_rollout_ref.actor.optim.clip_grad=0.1 \
    actor_rollout_ref.actor.ppo_mini_batch_size=16 \
    actor_rollout_ref.actor.use_dynamic_bsz=True \
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu=8192 \
    actor_rollout_ref.actor.use_kl_loss=True \
    actor_rollout_ref.actor.kl_loss_coef=0.04 \
    actor_rollout_ref.actor.kl_loss_type=low_var_kl \
    actor_rollout_ref.rollout.name=vllm \
    actor_rollout_ref.rollout.n=16 \
    actor_rollout_ref.rollout.temperature=0.9 \
    actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
    actor_rollout_ref.rollout.gpu_memory_utilization=0.5 \
    trainer.n_gpus_per_node=1 \
    trainer.nnodes=1 \
    trainer.total_epochs=1 \
    trainer.test_freq=50 \
    trainer.save_freq=100 \
    trainer.logger='[console,file]' \
    trainer.project_name=gsm8k \
    trainer.experiment_name="$name" \
    trainer.default_local_dir="$out/checkpoints" \
    "$@"
}
