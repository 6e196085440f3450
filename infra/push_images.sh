#!/usr/bin/env bash
# Build the images of a tag, push them into the repositories of a stage, and wait for ECR's scan: infra/push_images.sh prod 0.3.0
# A tag never changes, so an image that is there is not pushed again; its findings are read again.
# Needs docker, the AWS command line and a region (AWS_REGION); BASE and SOURCE are those of `make image`.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 2 ] || { echo "usage: infra/push_images.sh STAGE TAG" >&2; exit 2; }
stage=$1 tag=$2
images=(dagster gateway model-host mlflow)
region=${AWS_REGION:-$(aws configure get region)}
account=$(aws sts get-caller-identity --query Account --output text)
registry="$account.dkr.ecr.$region.amazonaws.com"

missing=()
for image in "${images[@]}"; do
  found=$(aws ecr batch-get-image --repository-name "recsys-$stage-$image" --image-ids "imageTag=$tag" --query 'length(images)' --output text)
  [ "$found" != 0 ] || missing+=("$image")
done

if [ ${#missing[@]} -gt 0 ]; then
  make image TAG="$tag"
  aws ecr get-login-password | docker login --username AWS --password-stdin "$registry"
fi
for image in "${missing[@]}"; do
  docker tag "recsys-$image:$tag" "$registry/recsys-$stage-$image:$tag"
  docker push "$registry/recsys-$stage-$image:$tag"
done

for image in "${images[@]}"; do
  where=(--repository-name "recsys-$stage-$image" --image-id "imageTag=$tag")
  aws ecr wait image-scan-complete "${where[@]}"
  # One page has all counts; text of several pages would be several lines.
  critical=$(aws ecr describe-image-scan-findings "${where[@]}" --no-paginate --query 'imageScanFindings.findingSeverityCounts.CRITICAL' --output text)
  [ "$critical" = None ] || { echo "error: recsys-$stage-$image:$tag has critical findings ($critical): aws ecr describe-image-scan-findings ${where[*]} lists them." >&2; exit 1; }
done
echo "Images of $tag are in $registry; their scans have no critical finding."
