#!/usr/bin/env bash
# Train on a Slurm cluster, one task a GPU:
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=8] [GRES=gpu:8] [SRUN_ARGS=...] \
#     bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
# On nodes without a GPU: GRES= (empty), GPUS and GPUS_PER_NODE count the processes.
# Slurm sends SIGTERM before it takes the nodes away; the run then saves, leaves with
# status 75, and goes on where it was with --resume.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [arguments of tools/train.py]" >&2
    exit 2
fi
partition=$1
job=$2
config=$3
shift 3
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
gres=${GRES-gpu:$per_node}
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job" \
    ${gres:+--gres="$gres"} --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-8}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$config" --launcher slurm "$@"
