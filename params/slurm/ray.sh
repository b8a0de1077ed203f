#!/bin/bash
# Ray on an allocation: a command of `dsi` on all its machines, as
#     sbatch --nodes 4 params/slurm/ray.sh reproduce --profile paper
# Submitted again, it goes on: the store is kept. See notebooks/pages/engines.md.
#SBATCH --job-name=dsi
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=4
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
export PATH="$PWD/.venv/bin:$PATH" DSI_STORE="${DSI_STORE:-$PWD/store}"
ray get-auth-token --generate > /dev/null # one for all, in the home that they share
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun ray symmetric-run --address "$head:${RAY_PORT:-6379}" --min-nodes "$SLURM_JOB_NUM_NODES" -- \
    bash -c 'dsi cluster check --engine ray && exec dsi --engine ray "$@"' dsi "$@"
