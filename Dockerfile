# One image for every process of ours; the command says which one a container runs:
# api, worker, ledger.migrate or simulator.

# The tag names interpreter and Debian release. Its digest is left open, so that a rebuild takes in
# Debian's security fixes; everything from a package index is pinned by the hashes in requirements/.
FROM python:3.11.16-slim-trixie AS base

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

FROM base
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
