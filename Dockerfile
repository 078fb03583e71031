# reconciler and git, for plan, apply and drift. Not distroless: GitPython calls the program git.
#   docker build -t reconciler . && docker run --rm -v "$PWD:/work" --user "$(id -u)" reconciler reconciler validate
FROM python:3.13-slim-bookworm AS build

COPY requirements-base.lock /tmp/
RUN python -m venv --without-pip /opt/reconciler \
    && python -m pip --python /opt/reconciler/bin/python install --no-cache-dir --disable-pip-version-check --no-input \
        --require-hashes --no-deps --only-binary :all: -r /tmp/requirements-base.lock

FROM python:3.13-slim-bookworm

# The repository is mounted or cloned by another user than ours, and it is the only one in here.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*' \
    && groupadd --gid 10001 reconciler \
    && useradd --uid 10001 --gid 10001 --create-home reconciler \
    && printf '#!/bin/sh\nexec /opt/reconciler/bin/python -P -m reconciler "$@"\n' >/usr/local/bin/reconciler \
    && chmod 0755 /usr/local/bin/reconciler

COPY --from=build /opt/reconciler /opt/reconciler
COPY reconciler /opt/reconciler/app/reconciler
COPY schemas /opt/reconciler/app/schemas
ENV PYTHONPATH=/opt/reconciler/app PYTHONDONTWRITEBYTECODE=1

USER 10001:10001
WORKDIR /work
# No entrypoint: GitLab starts a shell in it.
CMD ["reconciler", "--help"]
