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
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
export PATH="$PWD/.venv/bin:$PATH" DSI_STORE="${DSI_STORE:-$PWD/store}"
export RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0 # the machines are for the workers
export RAY_AUTH_MODE="${RAY_AUTH_MODE:-token}"
nodes=$SLURM_JOB_NUM_NODES port=${RAY_PORT:-6379} limit=${RAY_HEAD_SECONDS:-300}
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${hosts%%$'\n'*}
export RAY_ADDRESS="$head:$port"
ray get-auth-token --generate > /dev/null # one for all, in the home that they share
trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT
trap 'exit 130' TERM INT

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --port="$port" --include-dashboard=false --block &
until said=$(timeout 60 python -c 'import ray; ray.init()' 2>&1); do # it takes others only then
    kill -0 $! 2> /dev/null # else it could not begin, and says above why
    if ((SECONDS > limit)); then
        echo "$said"
        echo "no Ray at $RAY_ADDRESS after $limit s (\$RAY_HEAD_SECONDS): look at $head" >&2
        exit 1
    fi
    sleep 2
done
if ((nodes > 1)); then
    srun --overlap --nodes=$((nodes - 1)) --ntasks=$((nodes - 1)) --exclude="$head" \
        ray start --address="$RAY_ADDRESS" --block &
fi
dsi cluster check --engine ray --machines "$hosts" # waits for them, and names who is missing
dsi --engine ray "$@" &
trap "kill $! && wait $!; exit 130" TERM INT # first the study: it frees what it holds by Ray
wait $! # so that the end of the allocation is heard while it runs
