# The service with the workspace's model: docker build -t classifier . && docker run --read-only -p 8000:8000 classifier
FROM python:3.12-slim

WORKDIR /service
COPY requirements-serve.txt .
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-serve.txt && \
    useradd --system --no-create-home service
COPY pipeline pipeline
COPY models models

USER service
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
CMD ["python", "-m", "pipeline.serve", "--folder", "models", "--host", "0.0.0.0"]
