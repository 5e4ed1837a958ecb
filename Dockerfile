# One image for every process of ours; the command says which one a container runs:
# api, worker, ledger.migrate, rehearsal or one_process. It has no simulator and no development tools;
# the target `simulator` has the simulator, and only that target.

# The tag names interpreter and Debian release. A release is built with the digest that the tag has on
# that day: `--build-arg BASE=python:3.11.16-slim-trixie@sha256:…` (docs/deployment.md, "Images by digest").
# Everything from a package index is pinned by the hashes in requirements/.
ARG BASE=python:3.11.16-slim-trixie
# hadolint ignore=DL3006
FROM ${BASE} AS base

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
# No pip inside: it works from outside, and the final image needs none.
RUN python -m venv --without-pip /opt/venv
COPY requirements requirements
# A company's own package index comes in as `docker build --secret id=pip,src=pip.conf`; it leaves no trace.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: -r requirements/runtime.txt
# The build backend from the development lock, without the rest of it: hatchling and what it needs, by hash.
# If it ever needs more, this fails and names it.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    awk '/^[a-z]/ { keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } keep' \
        requirements/dev.txt > requirements/build.txt \
    && pip install --require-hashes --only-binary :all: -r requirements/build.txt
COPY . .
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/venv/bin/python install --no-index --no-deps /wheels/*.whl

FROM base AS runtime
# PYTHONSAFEPATH: modules come from the installed packages, never from the working directory.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 settlement \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin settlement
COPY --from=build /opt/venv /opt/venv
COPY deploy/worker_healthcheck.py /opt/settlement/
WORKDIR /opt/settlement
USER 10001:10001
# Exec form: SIGTERM reaches Python itself, which drains.
ENTRYPOINT ["python", "-m"]
CMD ["api"]

# Stands in for the external system, to try the installation out. It is never part of the production image.
FROM runtime AS simulator
COPY simulator /opt/venv/lib/python3.11/site-packages/simulator
CMD ["simulator"]

# The last stage is the default.
FROM runtime AS production
