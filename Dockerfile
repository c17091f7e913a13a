# One image per service:   docker build --build-arg SERVICE=ledger .
# The tools' image:        docker build --target tools .   (set-up, migrations, simulated rail, demo race day)
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS base
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin carril
WORKDIR /srv/el-carril

FROM base AS build
# Compiled here: a container's file system is read-only, so it would compile everything anew at each start.
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
COPY tools/bootstrap/uv.txt requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r uv.txt && python -m uv venv "$VIRTUAL_ENV"
COPY libs libs
COPY services services

FROM build AS build-service
ARG SERVICE
# The lock's versions and hashes bind; libraries that this service does not need stay out.
RUN uv pip install -c requirements.lock uv-build \
    && uv pip install -c requirements.lock --no-build-isolation ./libs/common ./libs/contracts "./services/${SERVICE:?}" \
    && uv pip uninstall uv-build

FROM build AS build-tools
RUN uv pip sync --require-hashes requirements.lock
COPY tools tools
COPY deploy deploy
RUN for member in libs/* services/*; do uv pip install --no-deps --no-build-isolation -e "./$member" || exit 1; done \
    && python -m compileall -q libs services tools

FROM base AS tools
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client-15=15.* \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-tools /opt/venv /opt/venv
COPY --from=build-tools /srv/el-carril /srv/el-carril
USER 10001
ENTRYPOINT ["python", "-m"]

FROM base AS service
ARG SERVICE
ENV MODULE=${SERVICE}
COPY --from=build-service /opt/venv /opt/venv
USER 10001
EXPOSE 8080
# SIGTERM goes to Python itself, which drains; arguments are the service's own, such as `receipts`.
ENTRYPOINT ["sh", "-c", "exec python -m \"$MODULE\" \"$@\"", "--"]
