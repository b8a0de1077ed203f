#!/bin/bash
# An array without Ray: independent processes over one locked store, as
#     sbatch --array 1-16 params/slurm/array.sh reproduce --profile paper
# Each takes the jobs that nobody holds; the first keeps tables and figures. Submitted again, they
# go on. See notebooks/pages/engines.md.
#SBATCH --job-name=dsi
#SBATCH --array=1-16
#SBATCH --gpus=1
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
export PATH="$PWD/.venv/bin:$PATH" DSI_STORE="${DSI_STORE:-$PWD/store}"
part="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_MAX"
exec srun dsi --engine local --part "$part" "$@"
