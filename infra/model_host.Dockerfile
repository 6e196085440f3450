# The model host, for SageMaker or any other container service. From the top of the repository:
#   docker build -f infra/model_host.Dockerfile -t recsys-model-host .
FROM python:3.12-slim
# Compiled models use OpenMP.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements-uv.lock requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-uv.lock \
    && uv pip install --system --no-cache --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY recsys_platform recsys_platform
COPY dbt_project dbt_project
RUN uv pip install --system --no-cache --no-deps --no-build-isolation . && useradd --create-home recsys
USER recsys
EXPOSE 8080
# SageMaker adds the argument `serve` and mounts the model at /opt/ml/model.
ENTRYPOINT ["recsys", "model-host"]
CMD ["serve"]
