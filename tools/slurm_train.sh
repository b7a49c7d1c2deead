#!/usr/bin/env bash
# Train on a Slurm cluster: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS may be set.
set -euo pipefail
# One thread a process for the loaders' small operations, as OpenMMLab's launchers choose.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
partition=${1:?usage: slurm_train.sh PARTITION JOB_NAME CONFIG [OPTIONS]}
job=${2:?usage: slurm_train.sh PARTITION JOB_NAME CONFIG [OPTIONS]}
config=${3:?usage: slurm_train.sh PARTITION JOB_NAME CONFIG [OPTIONS]}
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
# Unquoted on purpose: SRUN_ARGS holds several arguments.
# shellcheck disable=SC2086
srun -p "$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$config" --launcher slurm "${@:4}"
