# The image of nri-netdev: an interpreter, one virtual environment, nothing else. Nothing in it needs a shell.
#
#   docker build --build-arg BASE=python:3.13-slim-trixie@sha256:… .
#
# BASE has no default: whoever builds says which base, by its digest. It is some Debian or alike with python3 on the PATH;
# the wheels of the dependencies exist for x86-64 and arm64, so that `--platform` is all that a second architecture takes.
# BUILD_BASE differs only where BASE lacks the module venv.
ARG BASE
ARG BUILD_BASE=${BASE}

FROM ${BASE} AS base

FROM ${BUILD_BASE} AS build
ARG PIP_CERT
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY image/constraints.txt image/requirements.txt image/
# Dependencies first, as wheels only: no compiler is wanted, and a change of ours does not fetch them again.
RUN python3 -m venv /opt/tools \
 && /opt/tools/bin/pip install --quiet --constraint image/constraints.txt build hatchling cyclonedx-bom
COPY pyproject.toml README.md LICENSE ./
COPY nri_netdev nri_netdev
COPY image/sbom.py image/
COPY --from=base /var/lib/dpkg/status /tmp/dpkg-status
RUN /opt/tools/bin/python -m build --wheel --no-isolation --outdir /wheels \
 && python3 -m venv --without-pip /opt/nri-netdev \
 && /opt/tools/bin/pip --python /opt/nri-netdev/bin/python install --quiet --only-binary=:all: \
      --require-hashes --requirement image/requirements.txt \
 && /opt/tools/bin/pip --python /opt/nri-netdev/bin/python install --quiet --no-deps /wheels/*.whl \
 && /opt/tools/bin/pip --python /opt/nri-netdev/bin/python check \
 && /opt/tools/bin/cyclonedx-py environment --output-reproducible --of JSON \
      --output-file /opt/nri-netdev/sbom.cdx.json /opt/nri-netdev/bin/python \
 && python3 image/sbom.py /tmp/dpkg-status /opt/nri-netdev/sbom.cdx.json

FROM base
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nri-netdev" \
      org.opencontainers.image.description="Gives host network interfaces to Kubernetes containers, and brings them home" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/nri-netdev /opt/nri-netdev
ENV PATH=/opt/nri-netdev/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
ENTRYPOINT ["nri-netdev"]
CMD ["run"]
