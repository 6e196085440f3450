#!/bin/bash
# What a JupyterLab space of SageMaker Studio does when it starts, five minutes at most: the platform's package, and a folder for its world.
set -eu
WHEEL_FOLDER="$HOME/recsys"
mkdir -p "$WHEEL_FOLDER"
if ls "$WHEEL_FOLDER"/recsys_platform-*.whl >/dev/null 2>&1; then
  pip install --quiet --no-input "$WHEEL_FOLDER"/recsys_platform-*.whl
fi
grep -q RECSYS_HOME "$HOME/.bashrc" 2>/dev/null || echo "export RECSYS_HOME=$WHEEL_FOLDER/world" >> "$HOME/.bashrc"
