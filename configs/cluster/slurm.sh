#!/bin/bash
# Slurm: one Ray cluster inside an allocation, one run, then nothing is left.
#   sbatch configs/cluster/slurm.sh --config mose --dataset /scratch/MOSE --split valid \
#          --device cuda --output /scratch/runs/mose-valid
# Everything after the script's name goes to ensemble.run. Data, weights and the run folder must
# lie on a file system that all nodes share. Resubmitting the same line resumes the run.
#SBATCH --job-name=stseg
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
set -euo pipefail

source "${STSEG_VENV:-$PWD/.venv}/bin/activate"
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
export RAY_ADDRESS="$head:$port"
# One secret for this cluster; other users of the nodes cannot join it.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(openssl rand -hex 32)
export RAY_AUTH_TOKEN

srun --nodes=1 --ntasks=1 -w "$head" \
  ray start --head --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
sleep 15
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) \
    --exclude="$head" ray start --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
  sleep 15
fi
python -m ensemble.run "$@"
