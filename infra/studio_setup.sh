#!/bin/bash
# What a JupyterLab space of SageMaker Studio does when it starts, five minutes at most: the newest wheel of the platform, its settings
# for every kernel and terminal, and the notebooks. Before these lines the template sets WHEELS, where wheels are delivered, and
# SETTINGS, `NAME=value` each; by hand both may be left out.
set -eu
FOLDER="$HOME/recsys"
mkdir -p "$FOLDER"

if [ -n "${WHEELS:-}" ]; then
  aws s3 sync --quiet --exclude '*' --include 'recsys_platform-*.whl' "$WHEELS" "$FOLDER"
fi
WHEEL=$(find "$FOLDER" -maxdepth 1 -name 'recsys_platform-*.whl' | sort --version-sort | tail -n 1)
if [ -z "$WHEEL" ]; then
  echo "There is no wheel of the platform: put one into $FOLDER, or below ${WHEELS:-the prefix of wheels}, and start the space again."
  exit 0
fi
pip install --quiet --no-input "$WHEEL" jupytext

# Kernels read no .bashrc, but each begins with the start-up files of IPython.
STARTUP="$HOME/.ipython/profile_default/startup"
mkdir -p "$STARTUP"
{
  echo "import os"
  for each in "RECSYS_HOME=$FOLDER/world" ${SETTINGS:-}; do
    echo "os.environ.setdefault('${each%%=*}', '${each#*=}')"
  done
} > "$STARTUP/00-recsys.py"
for each in "RECSYS_HOME=$FOLDER/world" ${SETTINGS:-}; do
  echo "export $each"
done > "$FOLDER/settings.sh"
grep -q recsys/settings.sh "$HOME/.bashrc" 2>/dev/null || echo ". $FOLDER/settings.sh" >> "$HOME/.bashrc"

recsys notebooks "$FOLDER/notebooks"
