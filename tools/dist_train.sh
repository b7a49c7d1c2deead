#!/usr/bin/env bash
# Train on several GPUs of this machine: bash tools/dist_train.sh CONFIG NUM_GPUS [options of tools/train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -euo pipefail
# One thread a process for the loaders' small operations, as OpenMMLab's launchers choose.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
config=${1:?usage: dist_train.sh CONFIG NUM_GPUS [OPTIONS]}
gpus=${2:?usage: dist_train.sh CONFIG NUM_GPUS [OPTIONS]}
torchrun --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
